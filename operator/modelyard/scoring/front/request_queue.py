"""The queue before the workers: order, time limits, and restarts of workers."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Protocol

from modelyard.backoff import Backoff
from modelyard.scoring import frames
from modelyard.scoring.frames import Reply
from modelyard.scoring.front.lifecycle import Lifecycle
from modelyard.scoring.front.messages import QueuedRequest
from modelyard.scoring.front.oom_kills import OomKills
from modelyard.scoring.pool.process import WorkerProcess
from modelyard.scoring.pool.spawn import SpawnedWorker, SpawnWorker
from modelyard.scoring.settings import RuntimeSettings

log = logging.getLogger(__name__)

MAX_WAITING: Final = 1000
"""The longest queue, in requests. The queue timeout bounds their wait, the memory for bodies their size."""

MIN_WAITING: Final = 64
"""A queue of this length is always allowed: the estimate of how long runs take may be wrong."""

LEEWAY: Final = 1.25
"""The queue is full if it is longer than LEEWAY times what can be served within the queue timeout.

A request that times out costs several times a refusal: at 2.0, 1500 clients took 6 % of the throughput.
"""

OVERLOADED: Final = 100
"""Outcome, beside those of frames: no worker began the request before its deadline."""
TIMED_OUT: Final = 101
"""Outcome: run() took longer than SCORING_TIMEOUT_MS. It goes on until its process ends."""
CRASHED: Final = 102
"""Outcome: the worker process ended during run()."""
CUT_OFF: Final = 103
"""Outcome: the drain time is over."""

INVALID: Final = 104
"""Outcome: the headers of a streamed result are no valid HTTP, or its size is not its Content-Length."""

CHECK_SECONDS: Final = 0.005
"""Minimum time between two checks of deadlines; otherwise overload triggers one per request."""

MAX_REFUSED_AT_ONCE: Final = 64
"""Maximum refusals per turn of the event loop; workers have requests sent ahead for about that time."""

RESTARTS: Final = Backoff(first_seconds=0.5, most_seconds=10.0)
"""The wait before workers that ended soon after their start are restarted."""

LONG_LIFE_SECONDS: Final = 60.0
"""A worker that lived longer is restarted at once, and resets RESTARTS."""


CANCEL_SECONDS: Final = 5.0
"""How long a cancelled request of an async driver has to end: its `finally` blocks run, and may await.

After this time the worker is replaced.
"""

MAX_PROCESSES: Final = 64
"""Maximum number of workers for a driver with THREAD_SAFE = False, one for each concurrent request."""

DEFAULT_PROCESSES: Final = 4
"""Maximum number of workers for a driver without THREAD_SAFE, unless MODELYARD_WORKERS is more.

Each worker has a copy of the model and at least 10 MB of its own. With a model of 100 MiB, four workers and
the front take 497 MiB, and one takes 137 MiB (docs/scoring.md).
"""

FEWER_PROCESSES: Final = (
    "%d requests run at once, not %d, since each has a process with a copy of the model. Write THREAD_SAFE ="
    " True into the driver's file for threads of one process, or THREAD_SAFE = False for more processes"
)


class QueueListener(Protocol):
    """Callbacks of a RequestQueue."""

    def on_outcome(self, queued: QueuedRequest, reply: Reply) -> None:
        """Take the outcome of a request."""

    def on_stream(self, queued: QueuedRequest, reply: Reply) -> None:
        """Take the beginning of a streamed result, or a piece of it; on_outcome() follows at its end."""

    def on_declared(self, columns: str) -> None:
        """Take the columns that the driver declares, before its first request, see spool.declared."""

    def on_fatal_error(self, message: str, exception: str | None) -> None:
        """Take note that the driver cannot be served, with the driver's traceback if there is one."""

    def on_out_of_memory(self, message: str, *, serves: bool) -> bool:
        """Take note that the kernel has killed a worker; return True if the process ends for that.

        `serves` is True if other workers can take requests.
        """


class RequestQueue:
    """Sends requests to workers in the order of arrival, and restarts workers that end.

    It is made and used on a running event loop.
    """

    def __init__(
        self,
        settings: RuntimeSettings,
        lifecycle: Lifecycle,
        listener: QueueListener,
        spawned: Sequence[SpawnedWorker],
        spawn: SpawnWorker,
    ) -> None:
        self.restarts = 0
        self.accepted = 0
        """Number of requests since the start of the process."""
        self.needs_meta = False
        """The driver uses more of a request than its body."""
        self.takes_options = False
        """The driver's run() answers OPTIONS requests, too."""
        self.cancels = False
        """The driver is async: a request whose client has left is cancelled."""
        self.openapi: dict[str, bytes] | None = None
        """OpenAPI documents by version; None before init() has returned."""
        self.tensors: dict[str, Any] | None = None
        """Inputs and outputs of run() in the Open Inference Protocol; None before init() has returned."""
        self.places = settings.max_concurrent_requests
        """Number of run() calls at once; it may shrink when the first init() has returned."""
        self.complete = False
        """True once all workers have been ready at the same time, also after one of them ends."""
        self._settings = settings
        self._lifecycle = lifecycle
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._spawn = spawn
        self.workers = [self._worker(one) for one in spawned]
        self._waiting: deque[QueuedRequest] = deque()
        self._first_check_seconds = min(settings.queue_timeout_seconds, settings.scoring_timeout_ms / 1000)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._sending = False
        self._early_ends = 0
        """Workers in a row that ended soon after their start."""
        self._restart_tasks: set[asyncio.Task[None]] = set()
        self._oom_kills = OomKills()

    def _worker(self, spawned: SpawnedWorker) -> WorkerProcess:
        return WorkerProcess(spawned, self, self._loop, alone=self._settings.workers == 1)

    async def connect(self) -> None:
        """Connect to all workers.

        The list is copied, since on_started() of the first one adds workers, which connect on their own.
        """
        for worker in tuple(self.workers):
            await worker.connect()

    # --- requests

    @property
    def full(self) -> bool:
        """Return True if a new request would time out in the queue."""
        waiting = len(self._waiting)
        if waiting < MIN_WAITING:
            return False
        return waiting >= MAX_WAITING or waiting > LEEWAY * self._served_in_time()

    def _served_in_time(self) -> float:
        """Return how many requests the workers can begin within the queue timeout, at their present speed."""
        per_second = sum(worker.threads / max(worker.run_seconds, 1e-6) for worker in self.workers)
        return self._settings.queue_timeout_seconds * per_second

    @property
    def waiting(self) -> int:
        """Return the number of requests in the queue."""
        return len(self._waiting)

    @property
    def sent(self) -> int:
        """Return the number of requests at the workers: running, or sent ahead."""
        return sum(len(worker.in_flight) for worker in self.workers)

    def submit(self, queued: QueuedRequest) -> None:
        """Queue a request. listener.on_outcome() follows once, unless the request is abandoned."""
        self.accepted += 1
        queued.deadline = queued.arrived_at + self._settings.queue_timeout_seconds
        worker = None if self._waiting or self._sending else self._worker_with_room()
        if worker is not None:
            worker.send(queued)
        else:
            self._waiting.append(queued)
            self._send_waiting()
        if queued.arrived_at + self._first_check_seconds < self._timer_at:
            self._schedule_check(queued.arrived_at + self._first_check_seconds)

    def abandon(self, queued: QueuedRequest) -> None:
        """Drop a request whose client has left. At a worker it goes on, unless the driver is async."""
        queued.answered = True
        queued.chunks = ()
        if queued.stream is not None:
            queued.stream.cancel()
        self._cancel(queued)

    def _cancel(self, queued: QueuedRequest) -> None:
        for worker in self.workers:
            worker.cancel(queued)

    def _send_waiting(self) -> None:
        if self._sending:
            return  # an outcome below brought the next request of its connection
        self._sending = True
        try:
            while self._waiting:
                queued = self._waiting[0]
                if queued.answered:
                    self._waiting.popleft()
                    continue
                worker = self._worker_with_room()
                if worker is None:
                    return
                self._waiting.popleft()
                if queued.deadline <= time.monotonic():
                    self._finish(queued, Reply(OVERLOADED))
                else:
                    worker.send(queued)
        finally:
            self._sending = False

    def _worker_with_room(self) -> WorkerProcess | None:
        if len(self.workers) == 1:
            return self.workers[0] if self.workers[0].has_room else None
        free = [worker for worker in self.workers if worker.has_room]
        return min(free, key=lambda worker: len(worker.in_flight) / worker.threads, default=None)

    def on_reply(self, worker: WorkerProcess, queued: QueuedRequest, reply: Reply) -> None:
        """Pass the reply on, and send the next request."""
        if not queued.answered:
            if reply.outcome == frames.EXPIRED:
                reply.outcome = OVERLOADED
            self._finish(queued, reply)
        if self._waiting:
            self._send_waiting()
        if worker.retiring:
            self._end_retiring(worker)

    def on_stream(self, queued: QueuedRequest, reply: Reply) -> None:
        """Pass the beginning or a piece of a stream on, unless its client has left."""
        if not queued.answered:
            self._listener.on_stream(queued, reply)
        elif queued.stream is not None:
            queued.stream.cancel()

    def reject(self, queued: QueuedRequest) -> None:
        """End a stream that cannot be an HTTP response."""
        self._finish(queued, Reply(INVALID))
        self._cancel(queued)

    def _finish(self, queued: QueuedRequest, reply: Reply) -> None:
        queued.answered = True
        queued.chunks = ()
        if queued.stream is not None:
            queued.stream.cancel()
        self._listener.on_outcome(queued, reply)

    # --- time limits

    def _schedule_check(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = self._loop.call_later(max(0.0, when - time.monotonic()) + 0.001, self._check_deadlines)

    def _check_deadlines(self) -> None:
        """End requests whose time is over, and schedule the next check: one timer serves all requests."""
        self._timer, self._timer_at = None, float("inf")
        now = time.monotonic()
        next_checks = [self._check_worker(worker, now) for worker in self.workers]
        for _ in range(min(len(self._waiting), MAX_REFUSED_AT_ONCE)):
            if not self._waiting[0].answered and self._waiting[0].deadline > now:
                break
            queued = self._waiting.popleft()
            if not queued.answered:
                self._finish(queued, Reply(OVERLOADED))
        if self._waiting:
            next_checks.append(self._waiting[0].deadline)
        earliest = min(next_checks, default=float("inf"))
        if earliest < self._timer_at:
            self._schedule_check(max(earliest, now + CHECK_SECONDS))

    def _check_worker(self, worker: WorkerProcess, now: float) -> float:
        """End requests at a worker whose time is over. Return when to check next."""
        begun = worker.begun()
        last_begun = max(begun)
        next_check = float("inf")
        for queued in list(worker.in_flight.values()):
            if queued.number <= last_begun:
                next_check = min(next_check, self._check_running(worker, queued, begun, now))
            elif queued.answered:
                continue
            elif queued.deadline <= now:
                self._finish(queued, Reply(OVERLOADED))
            else:
                next_check = min(next_check, queued.deadline)
                break  # later ones have later deadlines
        if worker.retiring:
            self._end_retiring(worker)
        return next_check

    def _check_running(
        self, worker: WorkerProcess, queued: QueuedRequest, begun: dict[int, float], now: float
    ) -> float:
        """End a request that a worker has begun, if its time is over. Return when to check next.

        In an async driver it is cancelled, and the worker is replaced only if that does not help.
        """
        limit = self._settings.scoring_timeout_ms / 1000
        begun_at = begun.get(queued.number)
        if begun_at is None:  # its reply is on its way
            return now + 0.05
        if begun_at == float("inf"):  # the driver waits for the client of its stream
            return now + limit
        if begun_at + limit > now:
            return begun_at + limit
        if not queued.answered:
            self._finish(queued, Reply(TIMED_OUT))
            self._cancel(queued)
        end_at = begun_at + limit + (CANCEL_SECONDS if worker.cancels else 0.0)
        if end_at > now:
            return end_at
        worker.retiring = True
        return float("inf")

    def _end_retiring(self, worker: WorkerProcess) -> None:
        """Kill a retiring worker once none of its running requests has a client that waits."""
        last_begun = worker.last_begun()
        in_flight = worker.in_flight.values()
        if not any(queued.number <= last_begun and not queued.answered for queued in in_flight):
            log.error("a run() is over its time: worker %d is ended", worker.pid)
            worker.kill()

    # --- the life of the workers

    def tick(self) -> None:
        """Notice workers that have ended, and kill those whose init() takes too long.

        The server calls it twice a second. Before any worker has started, a slow init() is the kubelet's to
        end: the liveness probe fails.
        """
        now, limit = time.monotonic(), self._settings.init_seconds
        for worker in list(self.workers):
            worker.poll()
            is_late = worker.description is None and now - worker.born_at > limit
            if is_late and self._lifecycle.started and not worker.retiring:
                log.error("init() has not ended after %d s: worker %d is ended", limit, worker.pid)
                worker.retiring = True
                worker.kill()

    @property
    def ready(self) -> bool:
        """Return True if some worker can take requests and is not stuck.

        At the start all workers must be ready. A replica with a part of them would refuse requests that the
        replica before it in a rollout has served.
        """
        if not self.complete:
            return False
        now, limit = time.monotonic(), self._settings.stuck_seconds
        return any(
            worker.description is not None and not worker.retiring and not worker.is_stuck(now, limit)
            for worker in self.workers
        )

    def on_started(self, worker: WorkerProcess) -> None:
        """Store the first worker's description of the driver: all workers have the same driver."""
        description = worker.description or {}
        if description["threads"] < worker.threads:
            worker.share(description["threads"])
        if not self._lifecycle.started and worker.description is not None:
            self.needs_meta = bool(worker.description["needs_meta"])
            self.takes_options = bool(worker.description["takes_options"])
            self.tensors = worker.description["tensors"]
            self.cancels = worker.cancels
            documents = worker.description["openapi"]
            self.openapi = {name: json.dumps(document).encode() for name, document in documents.items()}
            self._listener.on_declared(worker.description["declared"])
            log.info("init() took %.3f s", time.monotonic() - worker.born_at)
            count = self._worker_count(description["thread_safe"])
            self._set_places(count * worker.threads)
            self._add_workers(count)
        self._lifecycle.started = True
        if not self.complete:
            up = (one.description is not None and one.exit_code is None for one in self.workers)
            self.complete = all(up)
        self._send_waiting()

    def _worker_count(self, thread_safe: bool | None) -> int:
        """Return how many workers this replica has: the more of MODELYARD_WORKERS and the driver's number."""
        if thread_safe:
            return self._settings.workers
        # A Spark session has 900 MiB of Java, and uses all processors for one request.
        default = 1 if self._settings.spark else DEFAULT_PROCESSES
        limit = default if thread_safe is None else MAX_PROCESSES
        return max(self._settings.workers, min(self._settings.max_concurrent_requests, limit))

    def _set_places(self, places: int) -> None:
        allowed = self._settings.max_concurrent_requests
        self.places = min(allowed, places)
        if self.places < allowed:
            log.warning(FEWER_PROCESSES, self.places, allowed)

    def _add_workers(self, count: int) -> None:
        """Start workers up to this count.

        The first worker's init() has returned: files that it has downloaded or read are in caches now.
        """
        for _ in range(count - len(self.workers)):
            try:
                worker = self._worker(self._spawn())
            except OSError as error:
                self._listener.on_fatal_error(f"no worker can be started: {error}", None)
                return
            self.workers.append(worker)
            task = self._loop.create_task(worker.connect())
            self._restart_tasks.add(task)
            task.add_done_callback(self._restart_tasks.discard)

    def on_start_failed(self, worker: WorkerProcess, message: str, exception: str | None) -> None:
        """Report that the driver cannot be served."""
        self._listener.on_fatal_error(message, exception)

    def on_ended(self, worker: WorkerProcess) -> None:
        """Answer what ran in the worker, queue the rest again, and start another worker."""
        last_begun = worker.last_begun()
        for queued in reversed(list(worker.in_flight.values())):
            if queued.answered:
                continue
            if queued.number <= last_begun or not _has_body(queued):
                self._finish(queued, Reply(CRASHED))
            else:
                queued.number = 0
                self._waiting.appendleft(queued)
        worker.in_flight.clear()
        if self._lifecycle.draining:
            return
        if self._was_killed_by_kernel(worker) and self._ends_out_of_memory(worker):
            return
        if worker.description is None and not self._lifecycle.started:
            message = f"the worker ended in init() with exit code {worker.exit_code}"
            self._listener.on_fatal_error(message, None)
            return
        log.error("worker %d ended with exit code %s and is restarted", worker.pid, worker.exit_code)
        task = self._loop.create_task(self._restart(worker))
        self._restart_tasks.add(task)
        task.add_done_callback(self._restart_tasks.discard)

    def _was_killed_by_kernel(self, worker: WorkerProcess) -> bool:
        return worker.exit_code == -signal.SIGKILL and not worker.killing and self._oom_kills.has_grown()

    def _ends_out_of_memory(self, worker: WorkerProcess) -> bool:
        """Log that the kernel has killed a worker. Return True if the process ends for that."""
        message = self._oom_kills.describe(worker.peak_bytes)
        serves = any(other.description is not None and other.exit_code is None for other in self.workers)
        if self._listener.on_out_of_memory(message, serves=serves):
            return True
        log.error("%s", message)
        return False

    async def _restart(self, old: WorkerProcess) -> None:
        self.restarts += 1
        if time.monotonic() - old.born_at > LONG_LIFE_SECONDS:
            self._early_ends = 0
        else:
            self._early_ends += 1
            await asyncio.sleep(RESTARTS.seconds(self._early_ends))
        try:
            worker = self._worker(self._spawn())
        except OSError as error:
            self._listener.on_fatal_error(f"no worker can be started: {error}", None)
            return
        self.workers[self.workers.index(old)] = worker
        await worker.connect()
        self._send_waiting()

    # --- the end

    @property
    def busy(self) -> bool:
        """Return True if any client waits for a result."""
        return bool(self._unanswered())

    def cut_off(self) -> int:
        """Answer all requests whose clients still wait. Return their number."""
        unanswered = self._unanswered()
        for queued in unanswered:
            self._finish(queued, Reply(CUT_OFF))
            self._cancel(queued)
        return len(unanswered)

    def _unanswered(self) -> list[QueuedRequest]:
        sent = (queued for worker in self.workers for queued in worker.in_flight.values())
        return [queued for queued in (*sent, *self._waiting) if not queued.answered]


def _has_body(queued: QueuedRequest) -> bool:
    """Return True if the body is still in memory: large ones are freed once they are sent."""
    return bool(queued.chunks) or queued.size == 0
