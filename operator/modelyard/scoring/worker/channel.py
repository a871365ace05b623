"""The worker's end of the channel: requests in, replies out, and the shared memory of progress."""

import os
import socket
import threading
import time
from dataclasses import dataclass
from mmap import mmap
from typing import Final

from modelyard.scoring.frames import FLOW, PROGRESS, REPLY, REQUEST, SLOT, Reply

RECEIVE_BYTES: Final = 64 * 1024
"""Below the size at which malloc maps fresh pages for every call."""

SPIN_SECONDS: Final = 0.0001
"""How long a busy worker looks for the next request before it sleeps.

To wake a process on an idle processor takes longer than a small request. With one client, 1.8 times as many
requests per second take a seventh less CPU time each.
"""

BUSY_SECONDS: Final = 0.001
"""A worker is busy while each wait is shorter. Others sleep at once, and take no CPU time."""

LARGE_BYTES: Final = 32 * 1024
"""A request of this size that has arrived in part is received into one buffer of its own."""


@dataclass(slots=True)
class WorkerRequest:
    """One request, as the front sends it; the fields are those of frames.REQUEST."""

    number: int
    deadline: float
    flags: int
    meta: bytes
    body: bytes | memoryview


class _LargeRequest:
    """A request that has arrived in part, in one buffer: growing a buffer would copy it again and again."""

    def __init__(self, request: WorkerRequest, meta_bytes: int, size: int, beginning: bytes) -> None:
        self.request = request
        self.content = memoryview(bytearray(size))
        self.content[: len(beginning)] = beginning
        self.filled = len(beginning)
        self._meta_bytes = meta_bytes

    def complete(self) -> WorkerRequest:
        self.request.meta = bytes(self.content[: self._meta_bytes])
        self.request.body = self.content[self._meta_bytes :]
        return self.request


class WorkerChannel:
    """The channel to the front. A free thread takes the next request, or an event loop takes all."""

    def __init__(self, connection: socket.socket, progress: mmap) -> None:
        self._connection = connection
        self._progress = progress
        self._reading = threading.Lock()
        self._writing = threading.Lock()
        self._received = b""
        self._position = 0
        self._large: _LargeRequest | None = None
        self._next_read_bytes = RECEIVE_BYTES
        self._is_busy = False
        self.spins = False
        """A busy worker looks for the next request before it sleeps: in one thread only, for others need
        the GIL."""

    def fileno(self) -> int:
        """Return the descriptor of the socket, for an event loop."""
        return self._connection.fileno()

    def receive(self) -> WorkerRequest | None:
        """Wait for the next request. Return None when the front has closed the channel."""
        with self._reading:
            while True:
                request = self._parse()
                if request is not None:
                    return request
                if not self._wait():
                    return None

    def receive_available(self) -> list[WorkerRequest] | None:
        """Return the complete requests, without a wait. Return None when the front has closed the channel."""
        try:
            if not self._read(socket.MSG_DONTWAIT):
                return None
        except BlockingIOError:
            return []
        requests = []
        while (request := self._parse()) is not None:
            requests.append(request)
        return requests

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

    def _wait(self) -> bool:
        """Receive bytes, as soon as there are some. Return False when the front has closed the channel."""
        if not self.spins:
            return self._read(0)
        began_at = time.monotonic()
        while self._is_busy and time.monotonic() - began_at < SPIN_SECONDS:
            try:
                return self._read(socket.MSG_DONTWAIT)
            except BlockingIOError:
                os.sched_yield()  # processes that have work come first
        is_open = self._read(0)
        self._is_busy = time.monotonic() - began_at < BUSY_SECONDS
        return is_open

    def _read(self, flags: int) -> bool:
        """Receive bytes. Return False when the front has closed the channel."""
        large = self._large
        if large is not None:
            count = self._connection.recv_into(large.content[large.filled :], 0, flags)
            large.filled += count
            return count > 0
        received = self._connection.recv(self._next_read_bytes, flags)
        self._received = self._received[self._position :] + received
        self._position = 0
        return bool(received)

    def _parse(self) -> WorkerRequest | None:
        """Return the first request in the received bytes, None if it is incomplete."""
        if self._large is not None:
            if self._large.filled < len(self._large.content):
                return None
            large, self._large = self._large, None
            return large.complete()
        received, start = self._received, self._position + REQUEST.size
        if len(received) < start:
            return None
        meta_bytes, body_bytes, number, deadline, flags = REQUEST.unpack_from(received, self._position)
        middle, end = start + meta_bytes, start + meta_bytes + body_bytes
        if end <= len(received):
            self._position = end
            return WorkerRequest(number, deadline, flags, received[start:middle], received[middle:end])
        if end - start < LARGE_BYTES:
            self._next_read_bytes = RECEIVE_BYTES
            return None
        request = WorkerRequest(number, deadline, flags, b"", b"")
        self._large = _LargeRequest(request, meta_bytes, end - start, received[start:])
        self._received, self._position = b"", 0
        # The next request is probably as large. If only its header is read, its body is not copied.
        self._next_read_bytes = REQUEST.size
        return None
