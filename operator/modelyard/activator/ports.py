"""Open ports: one listening socket for each Service without a replica."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Final

_LOG: Final = logging.getLogger(__name__)
_BACKLOG: Final = 4096  # connections that the kernel accepts before the process does
_ACCEPTED_AT_ONCE: Final = 64  # before the events of other sockets come next
_REOPEN_SECONDS: Final = 1.0  # after a port could not be opened
_RETRY_SECONDS: Final = 0.1  # after an error of accept(), such as too many open files
# A held request is not read beyond its head. So the kernel keeps this much of each body, and a large window
# is of no use.
_RECEIVE_BYTES: Final = 16 * 1024

OnConnection = Callable[[int, socket.socket], None]
"""Receives the port and the connection."""


class Ports:
    """The listening sockets, by port."""

    def __init__(self, on_connection: OnConnection, host: str = ""):
        self._on_connection = on_connection
        self._host = host
        self._sockets: dict[int, socket.socket] = {}
        self._retries: dict[int, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._sockets)

    def open(self, port: int) -> None:
        """Open a port, unless it is open. A port that is in use is tried again until it is shut."""
        if port in self._sockets:
            return
        self._cancel_retry(port)
        try:
            self._listen(port)
        except OSError as error:
            _LOG.error("port %d cannot be opened: %s", port, error)
            loop = asyncio.get_running_loop()
            self._retries[port] = loop.call_later(_REOPEN_SECONDS, self.open, port)

    def shut(self, port: int) -> None:
        """Accept the connections that the kernel has accepted, and close a port, unless it is closed."""
        self._cancel_retry(port)
        if port in self._sockets:
            self._close(port)

    def close(self) -> None:
        """Close all ports."""
        for port in self._sockets.keys() | self._retries.keys():
            self.shut(port)

    def _listen(self, port: int) -> None:
        if socket.has_dualstack_ipv6() and not self._host:
            listener = socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG
            )
        else:
            listener = socket.create_server((self._host, port), backlog=_BACKLOG)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        listener.setblocking(False)
        self._sockets[port] = listener
        asyncio.get_running_loop().add_reader(listener, self._accept, port, listener)

    def _cancel_retry(self, port: int) -> None:
        if timer := self._retries.pop(port, None):
            timer.cancel()

    def _close(self, port: int) -> None:
        listener = self._sockets[port]
        self._accept(port, listener, most=_BACKLOG)
        del self._sockets[port]
        asyncio.get_running_loop().remove_reader(listener)
        listener.close()

    def _accept(self, port: int, listener: socket.socket, most: int = _ACCEPTED_AT_ONCE) -> None:
        for _ in range(most):
            try:
                client, _ = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ECONNABORTED:
                    self._pause(port, listener)
                    return
            else:
                client.setblocking(False)
                self._on_connection(port, client)

    def _pause(self, port: int, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener)

        def resume() -> None:
            if self._sockets.get(port) is listener:
                loop.add_reader(listener, self._accept, port, listener)

        loop.call_later(_RETRY_SECONDS, resume)
