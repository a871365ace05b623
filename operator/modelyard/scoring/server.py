"""uvicorn with our start and our end: serve first, then init(); on SIGTERM drain, then leave."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Generator
from functools import partial

import uvicorn

from modelyard.scoring.app import ScoringApp
from modelyard.scoring.driver import DriverError, start_driver
from modelyard.scoring.lifecycle import Lifecycle
from modelyard.scoring.protocol import ScoringProtocol
from modelyard.scoring.settings import Settings
from modelyard.scoring.workers import Workers

log = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 120
"""Longer than usual clients and proxies keep an idle connection (Go 90 s, nginx and ALB 60 s): when they
close it first, no request meets a connection that is just being closed."""

QUIET_SECONDS = 1.0
"""While draining, connections stay open until no request has come for so long: one that is on its way still
gets its answer, and the news that the connection ends."""

MAX_QUIET_WAIT_SECONDS = 5.0
"""Clients that never pause do not hold up the end for longer."""

CUT_SECONDS = 0.5
"""So long before the end of the drain time the requests that still run are answered with 503."""

FAILED_EXIT_SECONDS = 5.0
"""A driver that failed may have left threads behind; they keep the process alive no longer than this."""

DRIVER_FAILED = 3
"""Exit code when the driver cannot be served (the Azure ML containers' code)."""


class ScoringServer(uvicorn.Server):
    """Runs until a signal comes or the driver fails; `exit_code` says which."""

    def __init__(self, settings: Settings, lifecycle: Lifecycle, workers: Workers, app: ScoringApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host="0.0.0.0",  # noqa: S104  # a container's port is meant to be reached from outside
                port=settings.port,
                loop="uvloop",
                http=ScoringProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
            )
        )
        self.exit_code = 0
        self._settings = settings
        self._lifecycle = lifecycle
        self._workers = workers
        self._drain_until = float("inf")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Opens the port, then starts the driver in a worker: liveness must answer during a long init()."""
        await super().startup(sockets=sockets)
        self._workers.start()
        self._starting = asyncio.create_task(self._start_driver())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Waits until no more requests come, then closes idle connections and waits for accepted requests."""
        if self._lifecycle.draining:
            await self._wait_until_quiet()
            loop = asyncio.get_running_loop()
            loop.call_later(self._drain_until - CUT_SECONDS - time.monotonic(), self._cut)
        await super().shutdown(sockets=sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """uvicorn's own version dies of the signal in the end; but a drained process exits 0."""
        loop = asyncio.get_running_loop()
        for caught in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(caught, self._drain)
        yield

    async def _start_driver(self) -> None:
        started = time.monotonic()
        work = partial(start_driver, self._settings.app_root, self._settings.entry_script)
        try:
            self._lifecycle.driver = await self._workers.call(work)
        except Exception as error:
            log.critical("%s", error, exc_info=error.__cause__ if isinstance(error, DriverError) else error)
            self.exit_code = DRIVER_FAILED
            _exit_at_latest(FAILED_EXIT_SECONDS, DRIVER_FAILED)
            self.should_exit = True
        else:
            log.info("ready: init() took %.3f s", time.monotonic() - started)

    def _drain(self) -> None:
        if self._lifecycle.draining:
            return
        log.info("draining for %g s at most", self._settings.drain_seconds)
        self._lifecycle.draining = True
        self._drain_until = time.monotonic() + self._settings.drain_seconds
        _exit_at_latest(self._settings.drain_seconds, self.exit_code)
        self.should_exit = True

    async def _wait_until_quiet(self) -> None:
        started = time.monotonic()
        longest = min(MAX_QUIET_WAIT_SECONDS, self._settings.drain_seconds / 2)
        while time.monotonic() < started + longest:
            quiet_at = max(started, self._lifecycle.last_scoring_at) + QUIET_SECONDS
            if time.monotonic() >= quiet_at:
                return
            await asyncio.sleep(0.05)

    def _cut(self) -> None:
        log.error("the drain time is over, %d requests still run", len(self.server_state.tasks))
        for task in self.server_state.tasks:
            task.cancel()


def _exit_at_latest(seconds: float, exit_code: int) -> None:
    """Ends the process then, whatever threads, exit handlers or connections still hold it."""
    timer = threading.Timer(seconds, os._exit, args=(exit_code,))
    timer.daemon = True
    timer.start()
