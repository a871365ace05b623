"""The worker's end of the channel: requests in, replies out, and the shared memory of progress."""

import socket
import threading
import time
from dataclasses import dataclass
from mmap import mmap
from typing import Final

from modelyard.scoring.frames import FLOW, PROGRESS, REPLY, REQUEST, SLOT, Reply

RECEIVE_BYTES: Final = 64 * 1024
"""Below the size at which malloc maps fresh pages for every call."""


@dataclass(slots=True)
class WorkerRequest:
    """One request, as the front sends it; the fields are those of frames.REQUEST."""

    number: int
    deadline: float
    flags: int
    meta: bytes
    body: bytes | memoryview


class WorkerChannel:
    """The channel to the front, shared by the worker's threads: a free thread takes the next request."""

    def __init__(self, connection: socket.socket, progress: mmap) -> None:
        self._connection = connection
        self._progress = progress
        self._reading = threading.Lock()
        self._writing = threading.Lock()
        self._received = b""
        self._position = 0

    def receive(self) -> WorkerRequest | None:
        """Wait for the next request. Return None when the front has closed the channel."""
        with self._reading:
            while True:
                request = self._parse()
                if request is not None:
                    return request
                received = self._connection.recv(RECEIVE_BYTES)
                if not received:
                    return None
                self._received = self._received[self._position :] + received
                self._position = 0

    def begin(self, slot: int, request: WorkerRequest) -> float | None:
        """Write to the progress slot that the request begins. Return the time, None after the deadline."""
        PROGRESS.pack_into(self._progress, slot * SLOT.size, request.number, time.monotonic())
        started_at = time.monotonic()  # after the write: see PROGRESS
        return started_at if started_at < request.deadline else None

    def record_progress(self, slot: int, number: int, began_at: float) -> None:
        """Write to the slot when the driver began the next piece of a stream."""
        PROGRESS.pack_into(self._progress, slot * SLOT.size, number, began_at)

    def flow(self, slot: int) -> tuple[int, int]:
        """Return the bytes that the front has acknowledged, and the number of a request to close."""
        acknowledged, closed = FLOW.unpack_from(self._progress, slot * SLOT.size + PROGRESS.size)
        return acknowledged, closed

    def reply(self, number: int, reply: Reply) -> None:
        """Send the reply to the request of this number."""
        head = REPLY.pack(
            len(reply.meta),
            len(reply.body),
            number,
            reply.status,
            reply.outcome,
            reply.started_at,
            reply.seconds,
        )
        with self._writing:
            self._connection.sendall(head + reply.meta + reply.body)

    def _parse(self) -> WorkerRequest | None:
        """Return the first request in the received bytes, None if it is incomplete."""
        received, start = self._received, self._position + REQUEST.size
        if len(received) < start:
            return None
        meta_bytes, body_bytes, number, deadline, flags = REQUEST.unpack_from(received, self._position)
        middle, end = start + meta_bytes, start + meta_bytes + body_bytes
        if end <= len(received):
            self._position = end
            return WorkerRequest(number, deadline, flags, received[start:middle], received[middle:end])
        if end - len(received) < RECEIVE_BYTES:
            return None
        content = self._receive_large(received[start:], meta_bytes + body_bytes)
        self._received, self._position = b"", 0
        return WorkerRequest(number, deadline, flags, bytes(content[:meta_bytes]), content[meta_bytes:])

    def _receive_large(self, beginning: bytes, size: int) -> memoryview:
        """Receive into one buffer: growing a buffer would copy a large body again and again."""
        content = memoryview(bytearray(size))
        content[: len(beginning)] = beginning
        filled = len(beginning)
        while filled < size:
            count = self._connection.recv_into(content[filled:])
            if not count:
                raise ConnectionResetError("the front process has ended")
            filled += count
        return content
