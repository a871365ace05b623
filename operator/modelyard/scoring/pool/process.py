"""One worker process, as the front sees it: start, requests, replies, progress, end."""

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
from modelyard.scoring.frames import PROGRESS, REPLY, REQUEST
from modelyard.scoring.front.messages import Job
from modelyard.scoring.pool.spawn import Spawned

log = logging.getLogger(__name__)

AHEAD_SECONDS: Final = 0.002
"""Requests of so much run time are sent ahead of their turn: the worker then never waits for the front, and
one read and one write carry many of them. It is little beside the time a request may wait in the queue."""

AHEAD_SECONDS_ALONE: Final = 0.02
"""The same for a worker that is the only one, where a request loses nothing by waiting there: it stays busy
while the front refuses hundreds of requests."""

MAX_AHEAD: Final = 64
MAX_AHEAD_BYTES: Final = 1024 * 1024

LAST_WORDS_SECONDS: Final = 0.3
"""From the request to print where it is stuck, to the end of a process."""


class Owner(Protocol):
    """Who is told."""

    def replied(self, process: Process, job: Job, reply: Reply) -> None: ...
    def started(self, process: Process) -> None: ...
    def start_failed(self, process: Process, words: str, exception: str | None) -> None: ...
    def ended(self, process: Process) -> None: ...


class Reply:
    """A worker's answer."""

    __slots__ = ("body", "meta", "outcome", "seconds", "started", "status")

    def __init__(
        self, outcome: int, status: int, meta: bytes, body: bytes, started: float, seconds: float
    ) -> None:
        self.outcome = outcome
        self.status = status
        self.meta = meta
        self.body = body
        self.started = started
        self.seconds = seconds


class Process(asyncio.Protocol):
    """Requests to it, replies from it."""

    def __init__(self, spawned: Spawned, *, alone: bool) -> None:
        self.pid = spawned.pid
        self.threads = spawned.threads
        self.jobs: dict[int, Job] = {}
        """Sent and not yet replied to, in the order of their ids."""
        self.description: dict[str, Any] | None = None
        """What the worker said of its driver; None before init() is done."""
        self.condemned = False
        """It gets no more requests, and ends when those of others that run in it are done."""
        self.exit_code: int | None = None
        self.born_at = time.monotonic()
        # With others beside it, what waits here could not be given to one that is free sooner.
        self._least_ahead = 1 if alone else 0
        self._ahead_seconds = AHEAD_SECONDS_ALONE if alone else AHEAD_SECONDS
        self._places = spawned.threads + self._least_ahead
        self._last_id = 0
        self._bytes = 0
        self.run_seconds = 0.0
        """Moving mean of its run() calls."""
        self._unwritten: list[bytes] = []
        self._replied_at = self.born_at
        self._buffer = bytearray()
        self._killing = False
        self._lost = False
        self._socket = spawned.channel
        self._lifeline = spawned.lifeline
        self._progress = spawned.progress

    async def attach(self, owner: Owner) -> None:
        """Begins to listen to it, on the running event loop."""
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        await self._loop.create_unix_connection(lambda: self, sock=self._socket)

    # --- requests and replies

    @property
    def has_room(self) -> bool:
        jobs = len(self.jobs)
        if self.description is None or self.condemned or self._lost:
            return False
        return jobs < self.threads or (jobs < self._places and self._bytes < MAX_AHEAD_BYTES)

    def send(self, job: Job) -> None:
        self._last_id = job.id = self._last_id + 1
        job.sent_at = time.monotonic()
        self.jobs[job.id] = job
        self._bytes += job.size
        head = REQUEST.pack(len(job.meta), job.size, job.id, job.deadline, job.flags)
        if not self._unwritten:
            self._loop.call_soon(self._write)
        self._unwritten += (head, job.meta, *job.chunks)
        if job.size >= MAX_AHEAD_BYTES:
            job.chunks = ()  # a small one is kept, to be sent again if the worker ends before its turn

    def _write(self) -> None:
        """What one turn of the event loop brought, at once: each write costs a system call and a wake-up."""
        pieces, self._unwritten = self._unwritten, []
        if self._lost:
            return
        if self._bytes < MAX_AHEAD_BYTES:
            self._transport.write(b"".join(pieces))
        else:
            self._transport.writelines(pieces)  # large bodies are not copied

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Takes as many replies as there are; one read brings many of them."""
        buffer: bytes | bytearray = data
        if self._buffer:
            self._buffer += data
            buffer = self._buffer
        position, size = 0, len(buffer)
        while size - position >= REPLY.size:
            meta_bytes, body_bytes, number, status, outcome, started, seconds = REPLY.unpack_from(
                buffer, position
            )
            start = position + REPLY.size
            middle, end = start + meta_bytes, start + meta_bytes + body_bytes
            if end > size:
                break
            reply = Reply(
                outcome, status, bytes(buffer[start:middle]), bytes(buffer[middle:end]), started, seconds
            )
            position = end
            self._take(number, reply)
        if buffer is self._buffer:
            del self._buffer[:position]
        elif position < size:
            self._buffer += data[position:]

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self.poll()

    def _take(self, number: int, reply: Reply) -> None:
        if number:
            self._replied_at = time.monotonic()
            job = self.jobs.pop(number)
            self._bytes -= job.size
            if reply.outcome == frames.RETURNED:
                mean = self.run_seconds = 0.9 * self.run_seconds + 0.1 * reply.seconds
                limit = self._ahead_seconds
                ahead = MAX_AHEAD if mean * MAX_AHEAD <= limit else int(limit / mean)
                self._places = self.threads + max(ahead, self._least_ahead)
            self._owner.replied(self, job, reply)
            return
        said = json.loads(reply.body)
        if reply.outcome == frames.STARTED:
            self.description = said
            self._owner.started(self)
        else:
            self._owner.start_failed(self, said["message"], said["exception"])

    # --- what it is doing

    def last_begun(self) -> int:
        """The highest id that was begun: ids up to it are begun, as they are taken in order."""
        return max(number for number, _ in self._begun())

    def begun_at(self, number: int) -> float | None:
        """When that request was begun, if a thread is at it now."""
        return next((at for begun, at in self._begun() if begun == number), None)

    def is_stuck(self, now: float, after_seconds: float) -> bool:
        """Whether it has had enough to do for all its threads for so long, and replied nothing."""
        if len(self.jobs) < self.threads:
            return False
        oldest = next(iter(self.jobs.values())).sent_at
        return now - max(oldest, self._replied_at) > after_seconds

    def _begun(self) -> list[tuple[int, float]]:
        return list(PROGRESS.iter_unpack(self._progress[:]))

    # --- its end

    def finish(self) -> None:
        """Lets it end by itself once it has done what it was sent; in the midst of init(), at once."""
        if self.description is None:
            self._signal(signal.SIGTERM)
        if not self._lost and hasattr(self, "_transport"):
            self._transport.write_eof()

    def kill(self) -> None:
        """Ends it whatever it does; where it was is in the log."""
        if self._killing:
            return
        self._killing = True
        self._signal(signal.SIGUSR1)
        self._loop.call_later(LAST_WORDS_SECONDS, self.kill_now)

    def kill_now(self) -> None:
        """Ends it and its children without a word."""
        if self.exit_code is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def poll(self) -> None:
        """Tells the owner, once, when it has ended."""
        if self.exit_code is not None:
            return
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            if self._lost:  # the channel closes a moment before the process can be waited for
                self._loop.call_later(0.01, self.poll)
            return
        self.exit_code = os.waitstatus_to_exitcode(status)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # children of the driver that outlived it
        if not self._lost:
            self._lost = True
            self._transport.abort()
        self._lifeline.close()
        self._owner.ended(self)

    def _signal(self, number: int) -> None:
        if self.exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
