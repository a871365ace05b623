"""New connections of the gateway: a bounded number of TLS handshakes, each within a time limit.

asyncio.Server counts no handshakes and cannot end the oldest one.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Final

HANDSHAKE_SECONDS: Final = 10.0
MAX_HANDSHAKES: Final = 128  # each takes up to 130 KB
_SHUTDOWN_SECONDS: Final = 5.0  # for the client's close_notify
_RETRY_SECONDS: Final = 0.1  # after an error of accept(), such as too many open files


class Listener:
    """Accepts connections, and gives each a protocol, after its handshake if there is a TLS context."""

    def __init__(
        self,
        listener: socket.socket,
        context: ssl.SSLContext | None,
        protocol: Callable[[], asyncio.Protocol],
    ) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._context = context
        self._protocol = protocol
        self._handshakes: dict[asyncio.Task[None], None] = {}
        """In the order in which the connections came."""

    async def run(self) -> None:
        """Accept until the task is cancelled. Beyond MAX_HANDSHAKES the oldest one ends."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._listener)
            except OSError:
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            task = loop.create_task(self._shake_hands(accepted))
            self._handshakes[task] = None
            task.add_done_callback(self._handshakes.pop)
            if len(self._handshakes) > MAX_HANDSHAKES:
                next(iter(self._handshakes)).cancel()

    async def _shake_hands(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError, TimeoutError):  # the client's failure; ssl.SSLError is an OSError
            if self._context is None:
                await loop.connect_accepted_socket(self._protocol, accepted)
                return
            await loop.connect_accepted_socket(
                self._protocol,
                accepted,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
            )
