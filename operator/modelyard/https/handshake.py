"""A connection before its first request: it gets its protocol, with TLS after a handshake.

TLS starts once the client's first message is complete: the kernel reports the socket as readable at that
moment only (SO_RCVLOWAT). Before, a connection has no TLS buffers (130 KB). So 5,000
clients without such a message cost 0.16 s of CPU time per second; with TLS from the start they cost 0.45 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Final, NamedTuple

HANDSHAKE_SECONDS: Final = 10.0
"""Longest time to the end of the first message, and from there to the end of the handshake."""
_SHUTDOWN_SECONDS: Final = 5.0  # for the client's close_notify

# A TLS record: its type, two bytes of version and two of length before the content (RFC 8446 section 5.1).
_RECORD_HEAD_BYTES: Final = 5
_MAX_RECORD_BYTES: Final = _RECORD_HEAD_BYTES + 2**14
_HANDSHAKE_RECORD: Final = 22


class ConnectionSettings(NamedTuple):
    """The protocol of each connection, and its TLS context."""

    protocol: Callable[[], asyncio.Protocol]
    context: ssl.SSLContext | None
    """None for connections without TLS."""


class Handshake:
    """An accepted connection until it has its protocol, or until the client has left or is too slow."""

    def __init__(
        self, accepted: socket.socket, settings: ConnectionSettings, done: Callable[[Handshake], None]
    ) -> None:
        """Take over a socket that does not block. `done` is called at the end."""
        self._loop = asyncio.get_running_loop()
        self._socket = accepted
        self._settings = settings
        self._done = done
        self._needed_bytes = _RECORD_HEAD_BYTES
        self._timer: asyncio.TimerHandle | None = None
        """Set while the first message is incomplete."""
        self._task: asyncio.Task[None] | None = None
        self._is_connecting = False

    def begin(self) -> None:
        """Connect at once without TLS, else after the client's first message."""
        if self._settings.context is None:
            self._connect_in_task()
            return
        self._timer = self._loop.call_later(HANDSHAKE_SECONDS, self.end)
        self._loop.add_reader(self._socket, self._look_at_message)
        self._wait_for(_RECORD_HEAD_BYTES)

    def end(self) -> None:
        """End the handshake and close the connection. Does nothing after the handshake."""
        if self._task is not None:
            self._task.cancel()
        elif self._timer is not None:
            self._stop_waiting()
            self._socket.close()
            self._done(self)

    @property
    def is_waiting(self) -> bool:
        """Return True if the client's first message is incomplete."""
        return self._timer is not None

    def _look_at_message(self) -> None:
        try:
            message = self._socket.recv(_MAX_RECORD_BYTES, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:  # the client has reset the connection
            message = b""
        needed = _bytes_of_record(message)
        if len(message) >= needed:
            self._stop_waiting()
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            self._connect_in_task()
        elif needed == self._needed_bytes:  # readable with less than that: the client sends no more
            self.end()
        else:
            self._wait_for(needed)

    def _wait_for(self, size: int) -> None:
        self._needed_bytes = size
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._loop.remove_reader(self._socket)

    def _connect_in_task(self) -> None:
        self._task = self._loop.create_task(self._connect())
        self._task.add_done_callback(self._after_task)

    async def _connect(self) -> None:
        self._is_connecting = True
        protocol, context = self._settings
        with contextlib.suppress(OSError, TimeoutError):  # the client's failure; ssl.SSLError is an OSError
            if context is None:
                await self._loop.connect_accepted_socket(protocol, self._socket)
                return
            await self._loop.connect_accepted_socket(
                protocol,
                self._socket,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
            )

    def _after_task(self, _: asyncio.Task[None]) -> None:
        if not self._is_connecting:  # cancelled before its first step: no transport closes the socket
            self._socket.close()
        self._done(self)


def _bytes_of_record(start: bytes) -> int:
    """Return the size of the first record of a connection. Other bytes than TLS are complete: an error."""
    if len(start) < _RECORD_HEAD_BYTES or start[0] != _HANDSHAKE_RECORD:
        return _RECORD_HEAD_BYTES
    return min(_RECORD_HEAD_BYTES + int.from_bytes(start[3:5]), _MAX_RECORD_BYTES)
