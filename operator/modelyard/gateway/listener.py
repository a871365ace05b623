"""New connections of the gateway: a bounded number of TLS handshakes, each within a time limit.

asyncio.Server counts no handshakes and cannot end the oldest one. Beyond the limit the address with most
handshakes loses its oldest one. So a client with thousands of them ends those of other addresses no sooner.
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
        self._handshakes: dict[str, dict[asyncio.Task[None], None]] = {}
        """By address of the client, in the order in which the connections came."""
        self._count = 0

    async def run(self) -> None:
        """Accept until the task is cancelled. Beyond MAX_HANDSHAKES another one ends."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(self._listener)
            except OSError:
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            task = loop.create_task(self._shake_hands(accepted))
            self._add(address[0], task)
            if self._count > MAX_HANDSHAKES:
                most = max(self._handshakes.values(), key=len)
                next(iter(most)).cancel()
            # sock_accept() does not yield while connections wait: 2,000 at once would delay all responses.
            await asyncio.sleep(0)

    def _add(self, address: str, task: asyncio.Task[None]) -> None:
        handshakes = self._handshakes.setdefault(address, {})
        handshakes[task] = None
        self._count += 1

        def remove(_: asyncio.Task[None]) -> None:
            self._count -= 1
            del handshakes[task]
            if not handshakes:
                del self._handshakes[address]

        task.add_done_callback(remove)

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
