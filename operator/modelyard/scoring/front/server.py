"""The front process: listen at once, wait for init(), serve; after a stop signal drain, then exit."""

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import uvloop

from modelyard.scoring.contract import DRIVER_FAILED, OUT_OF_MEMORY
from modelyard.scoring.frames import Reply
from modelyard.scoring.front.garbage import spare_garbage_collection
from modelyard.scoring.front.http_connection import HttpConnection
from modelyard.scoring.front.http_server import TICK_SECONDS
from modelyard.scoring.front.lifecycle import STOP_SIGNALS, Lifecycle
from modelyard.scoring.front.messages import QueuedRequest
from modelyard.scoring.front.oom_kills import report_end
from modelyard.scoring.front.request_queue import RequestQueue
from modelyard.scoring.front.router import Router
from modelyard.scoring.front.telemetry import Telemetry
from modelyard.scoring.pool.spawn import SpawnedWorker, SpawnWorker
from modelyard.scoring.settings import RuntimeSettings

if TYPE_CHECKING:
    from modelyard.scoring.front.collection.request_collector import RequestCollector

log = logging.getLogger(__name__)

BACKLOG: Final = 2048
"""Connections that the kernel accepts before the server does."""

QUIET_SECONDS: Final = 1.0
"""While draining, idle connections are closed only after this many seconds without a new request.

A request that is on its way then still gets a response, with `connection: close`.
"""

MAX_QUIET_WAIT_SECONDS: Final = 5.0
"""The longest wait for QUIET_SECONDS: clients that never pause do not delay the end for longer."""

CUT_OFF_SECONDS: Final = 0.5
"""Requests that still run this many seconds before the end of the drain time are answered with 503."""

CLOSE_SECONDS: Final = 2.0
"""How long clients have, at the end, to read their responses and close."""


def serve(
    settings: RuntimeSettings,
    spawned: Sequence[SpawnedWorker],
    spawn: SpawnWorker,
    telemetry: Telemetry | None,
    stop_requested: Callable[[], bool],
) -> int:
    """Serve until a stop signal, or until the driver fails. Return the exit code.

    It is 0 after a drain, DRIVER_FAILED or OUT_OF_MEMORY.

    `stop_requested` returns True if a stop signal came before this function handles them.
    """

    async def run() -> int:
        return await ScoringServer(settings, spawned, spawn, telemetry).run(stop_requested)

    spare_garbage_collection()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


class ScoringServer:
    """The front process from listening to exit. It is made and used on a running event loop."""

    def __init__(
        self,
        settings: RuntimeSettings,
        spawned: Sequence[SpawnedWorker],
        spawn: SpawnWorker,
        telemetry: Telemetry | None,
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._spawned = spawned
        self._lifecycle = Lifecycle()
        self._queue = RequestQueue(settings, self._lifecycle, self, spawned, spawn)
        self._collector = _collector(settings)
        self._router = Router(settings, self._lifecycle, self._queue, telemetry, self._collector)
        self._stop = asyncio.Event()
        self._exit_code = 0
        self._drain_until = float("inf")

    async def run(self, stop_requested: Callable[[], bool]) -> int:
        """Serve until a stop signal, or until the driver fails. Return the exit code."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._start_drain)
        if stop_requested():
            self._start_drain()
        try:
            listener = await loop.create_server(
                lambda: HttpConnection(self._router),
                self._settings.host,
                self._settings.port,
                backlog=BACKLOG,
            )
        except OSError as error:
            log.critical("the server cannot listen: %s", error)
            self._kill_new_workers()
            return DRIVER_FAILED
        ticking = asyncio.create_task(self._tick())
        await self._queue.connect()
        await self._stop.wait()
        if self._lifecycle.draining:
            await self._drain(listener)
        listener.close()
        if self._collector is not None:
            self._collector.close()
        await self._end_workers()
        ticking.cancel()
        if self._telemetry is not None:
            self._telemetry.close()
        return self._exit_code

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._router.tick()
            self._queue.tick()

    # --- called by the queue

    def on_outcome(self, queued: QueuedRequest, reply: Reply) -> None:
        """Let the endpoint answer the request."""
        self._router.score.on_outcome(queued, reply)

    def on_stream(self, queued: QueuedRequest, reply: Reply) -> None:
        """Let the endpoint write a part of a streamed result."""
        self._router.score.on_stream(queued, reply)

    def on_declared(self, columns: str) -> None:
        """Let the collector write the declared columns beside the records."""
        if self._collector is not None:
            self._collector.declare(columns)

    def on_fatal_error(self, message: str, exception: str | None) -> None:
        """Log why the driver cannot be served, and stop: a new container may succeed."""
        if self._stop.is_set():
            return
        log.critical("%s", message, extra={"exception": exception} if exception else {})
        self._exit_code = DRIVER_FAILED
        self._stop.set()

    def on_out_of_memory(self, message: str, *, serves: bool) -> bool:
        """End the container, so that Kubernetes reports why. Return False outside of Kubernetes.

        `serves` is True if other workers can answer the requests that are here or on their way.
        """
        if not report_end(message):
            return False
        log.critical("%s", message)
        self._exit_code = OUT_OF_MEMORY
        if serves:
            self._start_drain()
        self._stop.set()
        return True

    # --- the end

    def _start_drain(self) -> None:
        if self._lifecycle.draining:
            return
        log.info("draining for %g s at most", self._settings.drain_seconds)
        self._lifecycle.draining = True
        self._drain_until = time.monotonic() + self._settings.drain_seconds
        _exit_after(self._settings.drain_seconds, self._exit_code)
        self._stop.set()

    async def _drain(self, listener: asyncio.Server) -> None:
        """Wait until no new requests come, then for the accepted ones, then for their connections."""
        await self._wait_until_quiet()
        listener.close()
        while self._queue.busy or self._router.is_coding or self._receiving():
            if time.monotonic() >= self._drain_until - CUT_OFF_SECONDS:
                log.error("the drain time is over, %d requests still ran", self._queue.cut_off())
                break
            self._close_idle()
            await asyncio.sleep(0.02)
        until = min(time.monotonic() + CLOSE_SECONDS, self._drain_until - CUT_OFF_SECONDS / 2)
        while self._router.connections and time.monotonic() < until:
            self._close_idle()
            await asyncio.sleep(0.02)

    def _receiving(self) -> bool:
        return any(connection.is_receiving for connection in self._router.connections)

    def _close_idle(self) -> None:
        for connection in list(self._router.connections):
            connection.close_if_idle()

    async def _wait_until_quiet(self) -> None:
        started = time.monotonic()
        longest = min(MAX_QUIET_WAIT_SECONDS, self._settings.drain_seconds / 2)
        while time.monotonic() < started + longest:
            quiet_at = max(started, self._lifecycle.last_scoring_at) + QUIET_SECONDS
            if time.monotonic() >= quiet_at:
                return
            await asyncio.sleep(0.05)

    def _kill_new_workers(self) -> None:
        """Kill workers that start: otherwise each writes a traceback, since its channel closes."""
        for worker in self._spawned:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(worker.pid, signal.SIGKILL)

    async def _end_workers(self) -> None:
        """Let the driver's exit handlers run in the rest of the drain time, then kill the workers."""
        workers = self._queue.workers
        for worker in workers:
            worker.finish()
        until = min(time.monotonic() + self._settings.drain_seconds, self._drain_until) - CUT_OFF_SECONDS / 4
        while time.monotonic() < until and any(worker.exit_code is None for worker in workers):
            await asyncio.sleep(0.01)
            for worker in workers:
                worker.poll()
        for worker in workers:
            worker.kill_now()
            with contextlib.suppress(OSError):
                worker.poll()


def _collector(settings: RuntimeSettings) -> "RequestCollector | None":
    if settings.collection is None:
        return None
    from modelyard.scoring.front.collection.request_collector import (  # noqa: PLC0415 - only if it is on
        RequestCollector,
    )

    return RequestCollector(settings.collection)


def _exit_after(seconds: float, exit_code: int) -> None:
    """End the process after this time, even if connections or threads keep it."""
    timer = threading.Timer(seconds, os._exit, args=(exit_code,))
    timer.daemon = True
    timer.start()
