"""One worker process, as the front sees it: requests, replies, progress, end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import time
from typing import Any, Final, Protocol, cast

from modelyard.scoring import frames
from modelyard.scoring.frames import REPLY, REQUEST, SLOT, Reply
from modelyard.scoring.front.messages import QueuedRequest
from modelyard.scoring.pool.spawn import SpawnedWorker
from modelyard.scoring.pool.worker_stream import WorkerStream

log = logging.getLogger(__name__)

AHEAD_SECONDS: Final = 0.002
"""Run time of the requests that a worker is sent ahead of their turn.

The worker then never waits for the front, and one read and one write carry many requests. It is little beside
the time a request may wait in the queue.
"""

AHEAD_SECONDS_ALONE: Final = 0.02
"""The same for a single worker, where a request loses nothing by waiting at the worker.

The worker stays busy while the front refuses hundreds of requests.
"""

MAX_AHEAD: Final = 64
MAX_AHEAD_BYTES: Final = 1024 * 1024

STACK_DUMP_SECONDS: Final = 0.3
"""How long a stuck worker has to print its stacks (SIGUSR1) before it is killed."""


_PARTS: Final = (frames.STREAM_BEGAN, frames.STREAM_PIECE, frames.WARNED)
"""Outcomes after which more replies to the same request follow."""

_RETURNED: Final = (frames.RETURNED, frames.STREAM_ENDED)


class WorkerListener(Protocol):
    """Callbacks of a WorkerProcess."""

    def on_started(self, worker: WorkerProcess) -> None:
        """Take note that init() has returned: the worker's description is set."""

    def on_start_failed(self, worker: WorkerProcess, message: str, exception: str | None) -> None:
        """Take note that the worker cannot serve the driver, with the driver's traceback if there is one."""

    def on_reply(self, worker: WorkerProcess, queued: QueuedRequest, reply: Reply) -> None:
        """Take the reply to a request."""

    def on_stream(self, queued: QueuedRequest, reply: Reply) -> None:
        """Take the beginning of a streamed result, or a piece of it; on_reply() follows at its end."""

    def on_ended(self, worker: WorkerProcess) -> None:
        """Take note that the process has ended: its exit code is set."""


class WorkerProcess(asyncio.Protocol):
    """Sends requests to a worker process, and reads its replies."""

    def __init__(
        self,
        spawned: SpawnedWorker,
        listener: WorkerListener,
        loop: asyncio.AbstractEventLoop,
        *,
        alone: bool,
    ) -> None:
        self.pid = spawned.pid
        self.threads = spawned.threads
        self.in_flight: dict[int, QueuedRequest] = {}
        """Requests that are sent and not yet replied to, by number, in the order of their numbers."""
        self.description: dict[str, Any] | None = None
        """The driver as the worker describes it; None before init() has returned."""
        self.cancels = False
        """The driver is async: a request that runs can be cancelled."""
        self.retiring = False
        """The worker gets no more requests, and is killed when those with waiting clients are done."""
        self.exit_code: int | None = None
        self.peak_bytes = 0
        """Most resident memory of the process, in bytes; set when it has ended."""
        self.born_at = time.monotonic()
        self.run_seconds = 0.0
        """Moving mean of its run() calls."""
        self._listener = listener
        self._loop = loop
        self._transport: asyncio.WriteTransport | None = None
        # If there are other workers, one of them may be free sooner than this one.
        self._min_ahead = 1 if alone else 0
        self._ahead_seconds = AHEAD_SECONDS_ALONE if alone else AHEAD_SECONDS
        self._places = spawned.threads + self._min_ahead
        """How many requests may be in flight."""
        self._last_number = 0
        self._in_flight_bytes = 0
        self._unwritten: list[bytes] = []
        self._replied_at = self.born_at
        self._buffer = bytearray()
        self.killing = False
        """The front kills the process."""
        self._disconnected = False
        self._socket = spawned.channel
        self._lifeline = spawned.lifeline
        self._progress = spawned.progress

    def share(self, threads: int) -> None:
        """Run this many requests at once, as the driver has fewer threads than planned and more workers."""
        self.threads = threads
        self._min_ahead = 0
        self._ahead_seconds = AHEAD_SECONDS
        self._places = threads

    async def connect(self) -> None:
        """Begin to read the worker's replies."""
        await self._loop.create_unix_connection(lambda: self, sock=self._socket)

    # --- requests and replies

    @property
    def has_room(self) -> bool:
        """Return True if the worker can be sent a request now."""
        if self.description is None or self.retiring or self._disconnected:
            return False
        count = len(self.in_flight)
        return count < self.threads or (count < self._places and self._in_flight_bytes < MAX_AHEAD_BYTES)

    def send(self, queued: QueuedRequest) -> None:
        """Send the request at the end of this turn of the event loop."""
        self._last_number = queued.number = self._last_number + 1
        queued.sent_at = time.monotonic()
        self.in_flight[queued.number] = queued
        self._in_flight_bytes += queued.size
        head = REQUEST.pack(len(queued.meta), queued.size, queued.number, queued.deadline, queued.flags)
        if not self._unwritten:
            self._loop.call_soon(self._write)
        self._unwritten += (head, queued.meta, *queued.chunks)
        if queued.size >= MAX_AHEAD_BYTES:
            queued.chunks = ()  # small bodies stay, to be sent again if the worker ends before their turn

    def cancel(self, queued: QueuedRequest) -> None:
        """Cancel a request of an async driver. A run() in a thread cannot be interrupted."""
        if self.cancels and self.in_flight.get(queued.number) is queued:
            if not self._unwritten:
                self._loop.call_soon(self._write)
            self._unwritten.append(REQUEST.pack(0, 0, queued.number, 0.0, frames.CANCEL))

    def _write(self) -> None:
        """Write all requests of one turn of the event loop at once: each write costs a system call."""
        pieces, self._unwritten = self._unwritten, []
        if self._disconnected or self._transport is None:
            return
        if self._in_flight_bytes < MAX_AHEAD_BYTES:
            self._transport.write(b"".join(pieces))
        else:
            self._transport.writelines(pieces)  # large bodies are not copied

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Take all complete replies: one read brings many."""
        buffer: bytes | bytearray = data
        if self._buffer:
            self._buffer += data
            buffer = self._buffer
        position, size = 0, len(buffer)
        while size - position >= REPLY.size:
            meta_bytes, body_bytes, number, status, outcome, started_at, seconds = REPLY.unpack_from(
                buffer, position
            )
            start = position + REPLY.size
            middle, end = start + meta_bytes, start + meta_bytes + body_bytes
            if end > size:
                break
            meta, body = bytes(buffer[start:middle]), bytes(buffer[middle:end])
            position = end
            self._take(number, Reply(outcome, status, body, meta, started_at, seconds))
        if buffer is self._buffer:
            del self._buffer[:position]
        elif position < size:
            self._buffer += data[position:]

    def connection_lost(self, exc: Exception | None) -> None:
        """Check whether the process has ended."""
        self._disconnected = True
        self.poll()

    def _take(self, number: int, reply: Reply) -> None:
        if reply.outcome in _PARTS:
            self._take_part(number, reply)
            return
        if number:
            self._replied_at = time.monotonic()
            queued = self.in_flight.pop(number)
            self._in_flight_bytes -= queued.size
            if reply.outcome in _RETURNED:
                self._update_places(reply.seconds)
            if queued.stream is not None:
                queued.stream.acknowledge()
            self._listener.on_reply(self, queued, reply)
            return
        message = json.loads(reply.body)
        if reply.outcome == frames.STARTED:
            self.description = message
            self.cancels = message["is_async"]
            self._listener.on_started(self)
        else:
            self._listener.on_start_failed(self, message["message"], message["exception"])

    def _take_part(self, number: int, reply: Reply) -> None:
        if reply.outcome == frames.WARNED:
            self._log_warning(number, json.loads(reply.body))
            return
        self._replied_at = time.monotonic()
        queued = self.in_flight[number]
        if reply.outcome == frames.STREAM_BEGAN:
            queued.stream = WorkerStream(self._progress, int(reply.body), queued.number)
            reply.body = b""
        elif queued.stream is not None:
            queued.stream.receive(len(reply.body))
        self._listener.on_stream(queued, reply)

    def _log_warning(self, number: int, warning: dict[str, str]) -> None:
        extra = {"exception": warning["exception"]} if warning["exception"] else {}
        queued = self.in_flight.get(number)
        if queued is not None:
            extra["requestId"] = queued.request.request_id
        log.warning("%s", warning["message"], extra=extra)

    def _update_places(self, seconds: float) -> None:
        """Send as many requests ahead as run within the ahead time, at the mean of run() calls."""
        mean = self.run_seconds = 0.9 * self.run_seconds + 0.1 * seconds
        limit = self._ahead_seconds
        ahead = MAX_AHEAD if mean * MAX_AHEAD <= limit else int(limit / mean)
        self._places = self.threads + max(ahead, self._min_ahead)

    # --- progress

    def last_begun(self) -> int:
        """Return the highest number that was begun: workers begin requests in the order of their numbers."""
        return max(self.begun())

    def begun(self) -> dict[int, float]:
        """Return when the latest request of each place was begun (time.monotonic), by its number."""
        return {number: began_at for number, began_at, _, _ in SLOT.iter_unpack(self._progress[:])}

    def is_stuck(self, now: float, after_seconds: float) -> bool:
        """Return True if all places have had requests for this long, and none was replied to.

        A worker that does not begin a request although it has free places is stuck, too: an async driver
        blocks the event loop.
        """
        last_begun = 0 if len(self.in_flight) >= self.threads else self.last_begun()
        waiting = (queued for number, queued in self.in_flight.items() if number > last_begun)
        oldest = next(waiting, None)
        return oldest is not None and now - max(oldest.sent_at, self._replied_at) > after_seconds

    # --- the end

    def finish(self) -> None:
        """Let the process end once its requests are done; if init() still runs, at once."""
        if self.description is None:
            self._signal(signal.SIGTERM)
        if self._transport is not None and not self._disconnected:
            self._transport.write_eof()

    def kill(self) -> None:
        """Make the process print its stacks to the log, then kill it."""
        if self.killing:
            return
        self.killing = True
        self._signal(signal.SIGUSR1)
        self._loop.call_later(STACK_DUMP_SECONDS, self.kill_now)

    def kill_now(self) -> None:
        """Kill the process and its children."""
        if self.exit_code is None:
            self._kill_group()

    def poll(self) -> None:
        """Call the listener, once, when the process has ended."""
        if self.exit_code is not None:
            return
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if not pid:
            if self._disconnected:  # the channel closes a moment before the process can be waited for
                self._loop.call_later(0.01, self.poll)
            return
        self.exit_code = os.waitstatus_to_exitcode(status)
        self.peak_bytes = usage.ru_maxrss * 1024  # Linux reports KiB
        self._kill_group()  # children of the driver that outlived it
        if not self._disconnected:
            self._disconnected = True
            if self._transport is not None:
                self._transport.abort()
        self._lifeline.close()
        self._listener.on_ended(self)

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
