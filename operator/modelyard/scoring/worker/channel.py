"""The worker's end of the channel: requests in, replies out, and the shared note of progress."""

import socket
import threading
import time
from dataclasses import dataclass
from mmap import mmap

from modelyard.scoring.frames import PROGRESS, REPLY, REQUEST

RECEIVE_BYTES = 64 * 1024
"""Below the size at which malloc maps fresh pages for every call."""


@dataclass(slots=True)
class Request:
    """One request, as the front passed it on."""

    id: int
    deadline: float
    flags: int
    meta: bytes
    body: bytes | memoryview


@dataclass(slots=True)
class Reply:
    """The answer to one request."""

    outcome: int
    status: int
    body: bytes
    meta: bytes = b""
    started: float = 0.0
    seconds: float = 0.0


class Channel:
    """Shared by the worker's threads: whoever is free takes the next request."""

    def __init__(self, connection: socket.socket, progress: mmap) -> None:
        self._connection = connection
        self._progress = progress
        self._reading = threading.Lock()
        self._writing = threading.Lock()
        self._received = b""
        self._position = 0

    def take(self) -> Request | None:
        """The next request; None when the front has closed its end."""
        with self._reading:
            while True:
                request = self._parsed()
                if request is not None:
                    return request
                received = self._connection.recv(RECEIVE_BYTES)
                if not received:
                    return None
                self._received = self._received[self._position :] + received
                self._position = 0

    def begin(self, place: int, request: Request) -> float | None:
        """Notes that this thread begins the request. When that is; None when it is too late for it."""
        PROGRESS.pack_into(self._progress, place * PROGRESS.size, request.id, time.monotonic())
        started = time.monotonic()  # after the note: see PROGRESS
        return started if started < request.deadline else None

    def reply(self, request_id: int, reply: Reply) -> None:
        head = REPLY.pack(
            len(reply.meta),
            len(reply.body),
            request_id,
            reply.status,
            reply.outcome,
            reply.started,
            reply.seconds,
        )
        with self._writing:
            self._connection.sendall(head + reply.meta + reply.body)

    def _parsed(self) -> Request | None:
        """The request at the front of what was received; None when more is needed."""
        received, start = self._received, self._position + REQUEST.size
        if len(received) < start:
            return None
        meta_bytes, body_bytes, request_id, deadline, flags = REQUEST.unpack_from(received, self._position)
        middle, end = start + meta_bytes, start + meta_bytes + body_bytes
        if end <= len(received):
            self._position = end
            return Request(request_id, deadline, flags, received[start:middle], received[middle:end])
        if end - len(received) < RECEIVE_BYTES:
            return None
        whole = self._receive_large(received[start:], meta_bytes + body_bytes)
        self._received, self._position = b"", 0
        return Request(request_id, deadline, flags, bytes(whole[:meta_bytes]), whole[meta_bytes:])

    def _receive_large(self, begun: bytes, size: int) -> memoryview:
        """Straight into its place: growing a buffer would copy a large body again and again."""
        whole = memoryview(bytearray(size))
        whole[: len(begun)] = begun
        filled = len(begun)
        while filled < size:
            count = self._connection.recv_into(whole[filled:])
            if not count:
                raise ConnectionResetError("the front process has gone")
            filled += count
        return whole
