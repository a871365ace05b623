"""The queue before the workers: who runs when, who waited too long, who ran too long."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from modelyard.scoring import frames
from modelyard.scoring.front.lifecycle import Lifecycle
from modelyard.scoring.front.messages import Job
from modelyard.scoring.pool.process import (
    Process,
    Reply,
)
from modelyard.scoring.pool.spawn import (
    Spawn,
    Spawned,
)
from modelyard.scoring.settings import RuntimeSettings

log = logging.getLogger(__name__)

MAX_WAITING: Final = 1000
"""Requests in the queue at most. The time limit bounds the wait, the memory for bodies bounds their size."""

MIN_WAITING: Final = 64
"""So many may wait always: how long runs will take is a guess."""

LEEWAY: Final = 1.25
"""With more, a request is refused at once that would not be served in time even if runs were so much faster.
Who waits in vain costs several times what a refusal at once does: at 2, a flood of 1500 clients took 6 % of
the throughput."""

OVERLOADED: Final = 100
"""Outcome, beside those of frames: no worker began it in time."""
TIMED_OUT: Final = 101
"""Outcome: run() took too long. It goes on until its process ends."""
CRASHED: Final = 102
"""Outcome: the worker process ended within run()."""
CUT: Final = 103
"""Outcome: the time for draining is over."""

CHECK_SECONDS: Final = 0.005
"""Between two looks at the limits at least: under overload they would come for each request."""

MAX_REFUSED_AT_ONCE: Final = 64
"""In one turn of the event loop: what was sent ahead keeps the workers busy for about so long."""

RESTART_SECONDS: Final = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
"""How long to wait before the first, second, ... restart in a row; after a minute of life it starts anew."""

_NOTHING: Final = 0, b"", b"", 0.0, 0.0


class Audience(Protocol):
    """Who gets the outcome, and who hears that no driver can be served."""

    def done(self, job: Job, reply: Reply) -> None: ...
    def hopeless(self, words: str, exception: str | None) -> None: ...


class Dispatcher:
    """Gives jobs to workers in the order in which they came, and keeps the workers alive."""

    def __init__(
        self, settings: RuntimeSettings, lifecycle: Lifecycle, spawned: Sequence[Spawned], spawn: Spawn
    ) -> None:
        self.processes = [Process(one, alone=settings.workers == 1) for one in spawned]
        self.restarts = 0
        self.wants_meta = False
        """Whether the driver wants more of a request than its body."""
        self.openapi: dict[str, bytes] | None = None
        """By version; None before init() is done."""
        self._settings = settings
        self._lifecycle = lifecycle
        self._spawn = spawn
        self._waiting: deque[Job] = deque()
        self._first_check_seconds = min(settings.queue_timeout_seconds, settings.scoring_timeout_ms / 1000)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._feeding = False
        self._failures = 0
        self._restarting: set[asyncio.Task[None]] = set()

    async def start(self, audience: Audience) -> None:
        self._audience = audience
        self._loop = asyncio.get_running_loop()
        for process in self.processes:
            await process.attach(self)

    # --- requests

    @property
    def full(self) -> bool:
        """Whether a request is refused right now: it would wait in vain."""
        waiting = len(self._waiting)
        if waiting < MIN_WAITING:
            return False
        return waiting >= MAX_WAITING or waiting > LEEWAY * self._served_in_time()

    def _served_in_time(self) -> float:
        """How many requests the workers can begin within the time that one may wait, as they run now."""
        per_second = sum(process.threads / max(process.run_seconds, 1e-6) for process in self.processes)
        return self._settings.queue_timeout_seconds * per_second

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def sent(self) -> int:
        """Requests at the workers: running, or next in turn."""
        return sum(len(process.jobs) for process in self.processes)

    def submit(self, job: Job) -> None:
        """audience.done() comes once for it, unless it is abandoned."""
        job.deadline = job.arrived + self._settings.queue_timeout_seconds
        self._waiting.append(job)
        self._feed()
        if job.arrived + self._first_check_seconds < self._timer_at:
            self._check_at(job.arrived + self._first_check_seconds)

    def abandon(self, job: Job) -> None:
        """Its client has gone. It is not sent to a worker any more; what was sent, runs."""
        job.answered = True
        job.chunks = ()

    def _feed(self) -> None:
        if self._feeding:
            return  # an answer below brought the next request of its connection
        self._feeding = True
        try:
            while self._waiting:
                job = self._waiting[0]
                if job.answered:
                    self._waiting.popleft()
                    continue
                process = self._with_room()
                if process is None:
                    return
                self._waiting.popleft()
                if job.deadline <= time.monotonic():
                    self._finish(job, Reply(OVERLOADED, *_NOTHING))
                else:
                    process.send(job)
        finally:
            self._feeding = False

    def _with_room(self) -> Process | None:
        if len(self.processes) == 1:
            return self.processes[0] if self.processes[0].has_room else None
        free = [process for process in self.processes if process.has_room]
        return min(free, key=lambda process: len(process.jobs) / process.threads, default=None)

    def replied(self, process: Process, job: Job, reply: Reply) -> None:
        if not job.answered:
            if reply.outcome == frames.EXPIRED:
                reply.outcome = OVERLOADED
            self._finish(job, reply)
        if self._waiting:
            self._feed()
        if process.condemned:
            self._end_condemned(process)

    def _finish(self, job: Job, reply: Reply) -> None:
        job.answered = True
        job.chunks = ()
        self._audience.done(job, reply)

    # --- limits of time

    def _check_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = self._loop.call_later(max(0.0, when - time.monotonic()) + 0.001, self._check)

    def _check(self) -> None:
        """Ends what is over, and comes back when the next may be. One timer for all requests."""
        self._timer, self._timer_at = None, float("inf")
        now = time.monotonic()
        following = [self._check_sent(process, now) for process in self.processes]
        for _ in range(min(len(self._waiting), MAX_REFUSED_AT_ONCE)):
            if not self._waiting[0].answered and self._waiting[0].deadline > now:
                break
            job = self._waiting.popleft()
            if not job.answered:
                self._finish(job, Reply(OVERLOADED, *_NOTHING))
        if self._waiting:
            following.append(self._waiting[0].deadline)
        earliest = min(following, default=float("inf"))
        if earliest < self._timer_at:
            self._check_at(max(earliest, now + CHECK_SECONDS))

    def _check_sent(self, process: Process, now: float) -> float:
        """When to look again."""
        run_seconds = self._settings.scoring_timeout_ms / 1000
        last_begun = process.last_begun()
        following = float("inf")
        for job in list(process.jobs.values()):
            if job.answered:
                continue
            if job.id <= last_begun:
                begun_at = process.begun_at(job.id)
                if begun_at is None:  # its reply is on its way
                    following = min(following, now + 0.05)
                elif begun_at + run_seconds <= now:
                    process.condemned = True
                    self._finish(job, Reply(TIMED_OUT, *_NOTHING))
                else:
                    following = min(following, begun_at + run_seconds)
            elif job.deadline <= now:
                self._finish(job, Reply(OVERLOADED, *_NOTHING))
            else:
                following = min(following, job.deadline)
                break  # later ones have later deadlines
        if process.condemned:
            self._end_condemned(process)
        return following

    def _end_condemned(self, process: Process) -> None:
        """Once nobody waits for what still runs in it."""
        last_begun = process.last_begun()
        if not any(job.id <= last_begun and not job.answered for job in process.jobs.values()):
            log.error("a run() is over its time: worker %d is ended", process.pid)
            process.kill()

    # --- the life of the workers

    def tick(self) -> None:
        """Called twice a second: sees which workers have ended, and ends those that never get ready.

        Before any of them was ready that is the kubelet's to do: the process is not healthy.
        """
        now, limit = time.monotonic(), self._settings.init_seconds
        for process in list(self.processes):
            process.poll()
            late = process.description is None and now - process.born_at > limit
            if late and self._lifecycle.started and not process.condemned:
                log.error("init() has not ended after %d s: worker %d is ended", limit, process.pid)
                process.condemned = True
                process.kill()

    @property
    def ready(self) -> bool:
        """Whether some worker can take requests, and is not stuck."""
        now, limit = time.monotonic(), self._settings.stuck_seconds
        return any(
            process.description is not None and not process.condemned and not process.is_stuck(now, limit)
            for process in self.processes
        )

    def started(self, process: Process) -> None:
        """All workers say the same of their driver: the first one's word is kept."""
        if not self._lifecycle.started and process.description is not None:
            self.wants_meta = bool(process.description["wants_meta"])
            documents = process.description["openapi"]
            self.openapi = {name: json.dumps(written).encode() for name, written in documents.items()}
            log.info("ready: init() took %.3f s", time.monotonic() - process.born_at)
        self._lifecycle.started = True
        self._feed()

    def start_failed(self, process: Process, words: str, exception: str | None) -> None:
        self._audience.hopeless(words, exception)

    def ended(self, process: Process) -> None:
        """Answers what ran in it, gives the rest to others, and starts another."""
        last_begun = process.last_begun()
        for job in reversed(list(process.jobs.values())):
            if job.answered:
                continue
            if job.id <= last_begun or not self._is_whole(job):
                self._finish(job, Reply(CRASHED, *_NOTHING))
            else:
                job.id = 0
                self._waiting.appendleft(job)
        process.jobs.clear()
        if self._lifecycle.draining:
            return
        if process.description is None and not self._lifecycle.started:
            self._audience.hopeless(f"the worker ended in init() with exit code {process.exit_code}", None)
            return
        log.error("worker %d ended with exit code %s and is restarted", process.pid, process.exit_code)
        task = self._loop.create_task(self._restart(process))
        self._restarting.add(task)
        task.add_done_callback(self._restarting.discard)

    @staticmethod
    def _is_whole(job: Job) -> bool:
        return bool(job.chunks) or job.size == 0

    async def _restart(self, old: Process) -> None:
        self.restarts += 1
        long_lived = time.monotonic() - old.born_at > 60
        self._failures = 0 if long_lived else min(self._failures + 1, len(RESTART_SECONDS) - 1)
        await asyncio.sleep(RESTART_SECONDS[self._failures])
        try:
            process = Process(self._spawn(), alone=len(self.processes) == 1)
        except OSError as error:
            self._audience.hopeless(f"no worker can be started: {error}", None)
            return
        self.processes[self.processes.index(old)] = process
        await process.attach(self)
        self._feed()

    # --- the end

    @property
    def busy(self) -> bool:
        """Whether anyone waits for a result."""
        sent = (job for process in self.processes for job in process.jobs.values())
        return any(not job.answered for job in self._waiting) or any(not job.answered for job in sent)

    def cut(self) -> int:
        """Answers all that still wait; how many those were."""
        sent = [job for process in self.processes for job in process.jobs.values()]
        left = [job for job in (*sent, *self._waiting) if not job.answered]
        for job in left:
            self._finish(job, Reply(CUT, *_NOTHING))
        return len(left)
