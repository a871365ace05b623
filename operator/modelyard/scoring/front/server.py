"""The front process: serve first, then wait for init(); on SIGTERM drain, then leave."""

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Final

import uvloop

from modelyard.scoring.front.http_connection import Connection
from modelyard.scoring.front.lifecycle import (
    ENDING,
    Lifecycle,
)
from modelyard.scoring.front.messages import Job
from modelyard.scoring.front.request_queue import Dispatcher
from modelyard.scoring.front.router import ScoringSite
from modelyard.scoring.front.telemetry import Telemetry
from modelyard.scoring.pool.process import Reply
from modelyard.scoring.pool.spawn import (
    Spawn,
    Spawned,
)
from modelyard.scoring.settings import RuntimeSettings

log = logging.getLogger(__name__)

BACKLOG: Final = 2048

TICK_SECONDS: Final = 0.5

QUIET_SECONDS: Final = 1.0
"""While draining, connections stay open until no request has come for so long: one that is on its way still
gets its answer, and the news that the connection ends."""

MAX_QUIET_WAIT_SECONDS: Final = 5.0
"""Clients that never pause do not hold up the end for longer."""

CUT_SECONDS: Final = 0.5
"""So long before the end of the drain time the requests that still run are answered with 503."""

CLOSE_SECONDS: Final = 2.0
"""How long clients have, at the end, to take their answers and close."""

DRIVER_FAILED: Final = 3
"""Exit code when the driver cannot be served (the Azure ML containers' code)."""


class ScoringServer:
    """Runs until a signal comes or the driver fails."""

    def __init__(
        self, settings: RuntimeSettings, spawned: list[Spawned], spawn: Spawn, telemetry: Telemetry | None
    ) -> None:
        self._settings = settings
        self._lifecycle = Lifecycle()
        self._telemetry = telemetry
        self._dispatcher = Dispatcher(settings, self._lifecycle, spawned, spawn)
        self._site = ScoringSite(settings, self._lifecycle, self._dispatcher, telemetry)
        self._exit_code = 0
        self._drain_until = float("inf")

    def run(self, is_to_end: Callable[[], bool]) -> int:
        """The exit code: 0 after a drain, 3 when the driver cannot be served.

        `is_to_end` tells of a signal that came before this could listen to any.
        """
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve(is_to_end))
        return self._exit_code

    async def _serve(self, is_to_end: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        for number in ENDING:
            loop.add_signal_handler(number, self._drain)
        if is_to_end():
            self._drain()
        listener = await loop.create_server(
            lambda: Connection(self._site),
            self._settings.host,
            self._settings.port,
            backlog=BACKLOG,
        )
        ticking = asyncio.create_task(self._tick())
        await self._dispatcher.start(self)
        await self._stop.wait()
        if self._lifecycle.draining:
            await self._drained(listener)
        listener.close()
        await self._end_workers()
        ticking.cancel()
        if self._telemetry is not None:
            self._telemetry.close()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._site.tick()
            self._dispatcher.tick()

    # --- what the dispatcher says

    def done(self, job: Job, reply: Reply) -> None:
        self._site.score.done(job, reply)

    def hopeless(self, words: str, exception: str | None) -> None:
        """The driver cannot be served: the log says why, and the container may try again from the start."""
        if self._stop.is_set():
            return
        log.critical("%s", words, extra={"exception": exception} if exception else {})
        self._exit_code = DRIVER_FAILED
        self._stop.set()

    # --- the end

    def _drain(self) -> None:
        if self._lifecycle.draining:
            return
        log.info("draining for %g s at most", self._settings.drain_seconds)
        self._lifecycle.draining = True
        self._drain_until = time.monotonic() + self._settings.drain_seconds
        _exit_at_latest(self._settings.drain_seconds, self._exit_code)
        self._stop.set()

    async def _drained(self, listener: asyncio.Server) -> None:
        """Waits until no more requests come, then for the accepted ones, then for their connections."""
        await self._wait_until_quiet()
        listener.close()
        while self._dispatcher.busy or self._receiving():
            if time.monotonic() >= self._drain_until - CUT_SECONDS:
                log.error("the drain time is over, %d requests still ran", self._dispatcher.cut())
                break
            self._close_idle()
            await asyncio.sleep(0.02)
        until = min(time.monotonic() + CLOSE_SECONDS, self._drain_until - CUT_SECONDS / 2)
        while self._site.connections and time.monotonic() < until:
            self._close_idle()
            await asyncio.sleep(0.02)

    def _receiving(self) -> bool:
        return any(connection.is_receiving for connection in self._site.connections)

    def _close_idle(self) -> None:
        for connection in list(self._site.connections):
            connection.close_if_idle()

    async def _wait_until_quiet(self) -> None:
        started = time.monotonic()
        longest = min(MAX_QUIET_WAIT_SECONDS, self._settings.drain_seconds / 2)
        while time.monotonic() < started + longest:
            quiet_at = max(started, self._lifecycle.last_scoring_at) + QUIET_SECONDS
            if time.monotonic() >= quiet_at:
                return
            await asyncio.sleep(0.05)

    async def _end_workers(self) -> None:
        """Their exit handlers run, in what is left of the drain time."""
        processes = self._dispatcher.processes
        for process in processes:
            process.finish()
        until = min(time.monotonic() + self._settings.drain_seconds, self._drain_until) - CUT_SECONDS / 4
        while time.monotonic() < until and any(process.exit_code is None for process in processes):
            await asyncio.sleep(0.01)
            for process in processes:
                process.poll()
        for process in processes:
            process.kill_now()
            with contextlib.suppress(OSError):
                process.poll()


def _exit_at_latest(seconds: float, exit_code: int) -> None:
    """Ends the process then, whatever connections still hold it."""
    timer = threading.Timer(seconds, os._exit, args=(exit_code,))
    timer.daemon = True
    timer.start()
