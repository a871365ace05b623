"""The answer to each `connect` of a confined process: a connection to the guard of the build, or a refusal.

The kernel suspends the caller and notifies the supervisor (seccomp_unotify(2)). The supervisor opens a
connection to the guard itself, and puts it into the place of the caller's socket. So a caller that changes
the address in its memory after the check gains nothing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import struct
import threading
from pathlib import Path
from typing import Final, Self

# struct seccomp_notif, seccomp_notif_resp and seccomp_notif_addfd of linux/seccomp.h, and their ioctls.
_NOTIFICATION: Final = struct.Struct("=QIIiIQ6Q")
_RESPONSE: Final = struct.Struct("=QqiI")
_ADDED_FILE: Final = struct.Struct("=QIIII")
_RECEIVE: Final = 0xC0502100
_SEND: Final = 0xC0182101
_ADD_FILE: Final = 0x40182103
_REPLACE_FILE: Final = 1  # SECCOMP_ADDFD_FLAG_SETFD
_CONNECT_SECONDS: Final = 5.0
_ADDRESS: Final = struct.Struct("=H2s4s")
_ADDRESS_BYTES: Final = 128
_MESSAGE_BYTES: Final = 1


class ConnectionSupervisor:
    """Answers the calls of one confined process. A context manager, whose thread ends with the process."""

    def __init__(self, port: int | None) -> None:
        """`port` is the guard's on 127.0.0.1, None without a guard."""
        self._guard = ("127.0.0.1", port)
        self._receiver, self.sender = socket.socketpair()
        """`sender` is for the confined process, which sends the file descriptor of its filter on it."""
        self.refusals = 0
        """Number of connections to other addresses."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, name="connections", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.sender.close()
        with contextlib.suppress(OSError):
            self._receiver.shutdown(socket.SHUT_RDWR)

    def started(self) -> None:
        """Close this end of `sender` after the start of the process, which has inherited it."""
        self.sender.close()

    def _serve(self) -> None:
        with self._receiver:
            _, files, _, _ = socket.recv_fds(self._receiver, _MESSAGE_BYTES, 1)
        for file in files:
            try:
                self._answer_all(file)
            finally:
                os.close(file)

    def _answer_all(self, listener: int) -> None:
        """Answer until the last process with the filter has ended."""
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        while True:
            events = poll.poll()
            if not events[0][1] & select.POLLIN:
                return
            received = bytearray(_NOTIFICATION.size)
            try:
                fcntl.ioctl(listener, _RECEIVE, received)
            except OSError:  # the caller was killed before its notification was read
                continue
            identifier, process, _, _, _, _, file, address, length, *_ = _NOTIFICATION.unpack(received)
            code = self._connect(listener, identifier, process, file, address, length)
            with contextlib.suppress(OSError):  # the caller was killed
                fcntl.ioctl(listener, _SEND, _RESPONSE.pack(identifier, 0, -code, 0))

    def _connect(
        self, listener: int, identifier: int, process: int, file: int, address: int, length: int
    ) -> int:
        """Connect a socket of the caller. Return 0 or the number of the error."""
        try:
            if _read_address(process, address, length) != self._guard:
                self.refusals += 1
                return errno.EACCES
            flags = _flags_of(process, file)
            with socket.create_connection(self._guard, _CONNECT_SECONDS) as connection:
                connection.setblocking(not flags & os.O_NONBLOCK)
                added = (identifier, _REPLACE_FILE, connection.fileno(), file, flags & os.O_CLOEXEC)
                fcntl.ioctl(listener, _ADD_FILE, _ADDED_FILE.pack(*added))
        except OSError as error:
            return error.errno or errno.ECONNREFUSED
        return 0


def send_filter(sender: int, listener: int) -> None:
    """Send the file descriptor of this process's filter to its supervisor, and close both. Raises OSError."""
    with socket.socket(fileno=sender) as connection:
        socket.send_fds(connection, [b"f"], [listener])
    os.close(listener)


def _read_address(process: int, address: int, length: int) -> tuple[str, int] | None:
    """Return the IPv4 address and port in the memory of a process, None for another kind of address."""
    with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        memory.seek(address)
        text = memory.read(min(length, _ADDRESS_BYTES))
    if len(text) < _ADDRESS.size:
        return None
    family, port, host = _ADDRESS.unpack_from(text)
    return (socket.inet_ntoa(host), int.from_bytes(port)) if family == socket.AF_INET else None


def _flags_of(process: int, file: int) -> int:
    """Return the flags of a file descriptor of a process, such as O_NONBLOCK."""
    lines = Path(f"/proc/{process}/fdinfo/{file}").read_text().splitlines()
    return next(int(line.split()[1], 8) for line in lines if line.startswith("flags:"))
