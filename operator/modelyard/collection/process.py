"""The collecting process: a pump for each sink, and the HTTP server. The supervisor starts it."""

from __future__ import annotations

import fcntl
import logging
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from modelyard.collection.destination import HASH_KEY, read_secret
from modelyard.collection.fields import ProtectedFields
from modelyard.collection.http_server import HttpServer
from modelyard.collection.journal import Journal
from modelyard.collection.pace import Pace
from modelyard.collection.pump import Delivery, Pump, Secret
from modelyard.collection.report import Report, metrics_page, state_page
from modelyard.collection.segments import Spool
from modelyard.collection.settings import CollectionSettings, SettingsError
from modelyard.collection.sink import BatchLimits
from modelyard.collection.status import SinkState
from modelyard.collection.transformation import Transformation
from modelyard.contract.collection_pod import METRICS_PATH, STATE_PATH, CollectorVariable
from modelyard.object_stores.credentials import take_cloud_identity
from modelyard.scoring.spool.counts import SPOOL_FULL

log = logging.getLogger(__name__)

_NICE: Final = 10
"""Scoring comes first."""
_EVENT_HUB_LIMITS: Final = BatchLimits(seconds=0, size=4 * 1024 * 1024, segments=64)
_INVALID_SETTINGS: Final = 2
_CRASHED: Final = 70
_IDLE_STEPS: Final = 2
"""A segment counts from its second listing on, see Spool.waiting."""
_FLUSH_POLL_SECONDS: Final = 0.1
_MAX_SEGMENTS: Final = 4096
_NO_RECORDS_SECONDS: Final = 60.0
_SPOOL_FULL_SECONDS: Final = 300.0


def main() -> int:
    """Collect until SIGTERM, then deliver what is left. Return the exit code."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        settings = CollectionSettings.from_environment(os.environ)
    except SettingsError as error:
        log.error("%s", error)  # noqa: TRY400 - the message is whole
        return _INVALID_SETTINGS
    if not (settings.storage or settings.event_hub):
        log.error("set %s or %s to true", CollectorVariable.STORAGE, CollectorVariable.EVENT_HUB)
        return _INVALID_SETTINGS
    identity = take_cloud_identity()  # before threads of libraries run, which read the environment
    os.nice(_NICE)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with (settings.state_dir / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until a process that was replaced has ended
        return Collector(settings, identity).run()


class Collector:
    """The pumps of one replica, each in a thread."""

    def __init__(self, settings: CollectionSettings, identity: Mapping[str, str]) -> None:
        """Open the journals and the port. Raises OSError."""
        self._settings = settings
        self._stopping = threading.Event()
        deliveries = _deliveries(settings, identity)
        journals = {one.name: Journal(settings.state_dir / f"{one.name}.json") for one in deliveries}
        self._pumps = {
            one.name: Pump(
                one,
                journals[one.name],
                Spool(settings.spool_dir),
                [journal for name, journal in journals.items() if name != one.name],
                lambda: read_secret(settings.destination_dir),
                self._transformation,
                Pace(settings.spool_bytes // 2, self._stopping.wait),
            )
            for one in deliveries
        }
        self._spool_watch = _SpoolWatch(settings.spool_dir)
        pages = {
            STATE_PATH: lambda: state_page(self.report()),
            METRICS_PATH: lambda: metrics_page(self.report()),
        }
        self._server = HttpServer(settings.port, pages)

    def run(self) -> int:
        """Collect until SIGTERM. Return the exit code: 1 if records are left."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopping.set())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
        threading.excepthook = _end_process
        threads = [
            threading.Thread(target=self._pump, args=(pump,), daemon=True) for pump in self._pumps.values()
        ]
        for thread in (*threads, threading.Thread(target=self._server.serve, daemon=True)):
            thread.start()
        self._stopping.wait()
        end = time.monotonic() + self._settings.flush_seconds
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        return self._finish()

    def report(self) -> Report:
        """Return the present state."""
        states = {name: pump.status.state for name, pump in self._pumps.items()}
        usage = resource.getrusage(resource.RUSAGE_SELF)
        secret: Secret = next(iter(self._pumps.values())).secret
        return Report(
            sinks=states,
            spool_full=self._spool_watch.is_full(states),
            no_records=self._spool_watch.has_no_records(states),
            hash_key_missing=bool(self._settings.hashed) and not secret.get(HASH_KEY),
            resident_bytes=_resident_bytes(),
            cpu_seconds=usage.ru_utime + usage.ru_stime,
        )

    def _pump(self, pump: Pump) -> None:
        while not self._stopping.is_set():
            self._stopping.wait(pump.step())
        idle = 0
        while idle < _IDLE_STEPS:
            time.sleep(min(pump.step(flush=True), _FLUSH_POLL_SECONDS))
            idle = idle + 1 if pump.idle else 0

    def _transformation(self, secret: Secret) -> Transformation:
        settings = self._settings
        return Transformation(ProtectedFields(settings.leave_out, settings.hashed, secret.get(HASH_KEY, "")))

    def _finish(self) -> int:
        left = {
            name: state.backlog_bytes for name, state in self.report().sinks.items() if state.backlog_bytes
        }
        for name, size in left.items():
            log.error("the pod ends with %d bytes of records that %s does not have", size, name)
        return 1 if left else 0


class _SpoolWatch:
    """Finds a spool without a writer, and one that is full."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._started_at = clock()
        self._used = False
        self._dropped = -1
        self._dropped_at = float("-inf")

    def has_no_records(self, states: Mapping[str, SinkState]) -> bool:
        """Return True if the scoring container has made no file within a minute."""
        self._used = self._used or any(state.totals.answered for state in states.values())
        self._used = self._used or any(self._folder.glob("*-*-*"))
        return not self._used and self._clock() - self._started_at > _NO_RECORDS_SECONDS

    def is_full(self, states: Mapping[str, SinkState]) -> bool:
        """Return True if the writers have dropped records within the last minutes."""
        dropped = sum(state.totals.dropped.get(SPOOL_FULL, 0) for state in states.values())
        if dropped > self._dropped >= 0:
            self._dropped_at = self._clock()
        self._dropped = dropped
        return self._clock() - self._dropped_at < _SPOOL_FULL_SECONDS


def _deliveries(settings: CollectionSettings, identity: Mapping[str, str]) -> list[Delivery]:
    """Return the sinks of the settings. Each imports its own libraries only."""
    deliveries = []
    pod = settings.origin.pod
    if settings.storage:
        from modelyard.collection.storage import open_storage

        size = min(settings.batch_bytes, max(1, settings.spool_bytes // 4))
        limits = BatchLimits(settings.batch_seconds, size, _MAX_SEGMENTS)
        opened = partial(open_storage, settings, identity)
        deliveries.append(Delivery("storage", "Storage", limits, opened, pod))
    if settings.event_hub:
        from modelyard.collection.event_hub import open_event_hub

        hub = partial(open_event_hub, settings)
        deliveries.append(Delivery("eventHub", "EventHub", _EVENT_HUB_LIMITS, hub, pod))
    return deliveries


def _resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text("ascii").split()[1]
    return int(pages) * resource.getpagesize()


def _end_process(arguments: threading.ExceptHookArgs) -> None:
    """End the process if a thread fails: the supervisor starts it again."""
    log.critical("a thread has failed", exc_info=arguments.exc_value)
    os._exit(_CRASHED)


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    os._exit(code)  # a request that hangs must not keep the process
