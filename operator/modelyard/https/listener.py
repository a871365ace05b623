"""New connections: a bounded number of TLS handshakes, each within a time limit.

asyncio.Server counts no handshakes and cannot end the oldest one. Beyond the limit the address with most
handshakes loses its oldest one. So a client with thousands of them ends those of other addresses no sooner.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from typing import Final

from modelyard.https.handshake import ConnectionSettings, Handshake

MAX_HANDSHAKES: Final = 128  # each takes up to 130 KB
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
        self._settings = ConnectionSettings(protocol, context)
        self._handshakes: dict[str, dict[Handshake, None]] = {}
        """By address of the client, in the order in which the connections came."""
        self._count = 0
        self._pause_timer: asyncio.TimerHandle | None = None

    def replace_context(self, context: ssl.SSLContext) -> None:
        """Use another TLS context for new connections."""
        self._settings = self._settings._replace(context=context)

    async def run(self) -> None:
        """Accept until the task is cancelled. Beyond MAX_HANDSHAKES another one ends."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._listener, self._accept)
        try:
            await loop.create_future()
        finally:
            loop.remove_reader(self._listener)
            if self._pause_timer is not None:
                self._pause_timer.cancel()
            for handshake in [one for group in self._handshakes.values() for one in group]:
                if handshake.is_waiting:
                    handshake.end()

    def _accept(self) -> None:
        """Accept one connection. The events of others come next: 2,000 at once would delay all responses."""
        try:
            accepted, address = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ECONNABORTED:
                self._pause()
            return
        accepted.setblocking(False)
        self._begin(accepted, address[0])

    def _pause(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener)
        self._pause_timer = loop.call_later(_RETRY_SECONDS, loop.add_reader, self._listener, self._accept)

    def _begin(self, accepted: socket.socket, address: str) -> None:
        handshakes = self._handshakes.setdefault(address, {})

        def remove(done: Handshake) -> None:
            self._count -= 1
            del handshakes[done]
            if not handshakes:
                del self._handshakes[address]

        handshake = Handshake(accepted, self._settings, remove)
        handshakes[handshake] = None
        self._count += 1
        handshake.begin()
        if self._count > MAX_HANDSHAKES:
            most = max(self._handshakes.values(), key=len)
            next(iter(most)).end()
