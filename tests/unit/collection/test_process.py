"""The collecting process at its end, and a spool without a writer."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.collection.spool_files import Clock, MemorySink, ids, write_segments
from tests.unit.collection.test_settings import ENVIRONMENT

from modelyard.collection import process
from modelyard.collection.http_server import HttpServer
from modelyard.collection.process import Collector, _SpoolWatch
from modelyard.collection.pump import Delivery
from modelyard.collection.settings import CollectionSettings
from modelyard.collection.sink import BatchLimits
from modelyard.collection.status import SinkState
from modelyard.collection.tally import Totals

AN_HOUR = BatchLimits(seconds=3600, size=10**9, segments=100)
Start = Callable[[MemorySink, float], Collector]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Make a collector whose batches are due in an hour, and which has got SIGTERM already."""
    servers: list[HttpServer] = []

    def server(*arguments: object) -> HttpServer:
        servers.append(HttpServer(*arguments))  # type: ignore[arg-type]
        return servers[-1]

    def make(sink: MemorySink, flush_seconds: float) -> Collector:
        delivery = Delivery("storage", "Storage", AN_HOUR, lambda _: sink, "pod-1")
        monkeypatch.setattr(process, "_deliveries", lambda *_: [delivery])
        settings = CollectionSettings.from_environment(ENVIRONMENT)
        folders = {"spool_dir": tmp_path / "spool", "state_dir": tmp_path}
        settings = replace(settings, **folders, port=0, flush_seconds=flush_seconds)  # type: ignore[arg-type]
        return Collector(settings, {})

    monkeypatch.setattr(process, "HttpServer", server)
    monkeypatch.setattr(process, "_FLUSH_POLL_SECONDS", 0)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)  # run() sets another one
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    (tmp_path / "spool").mkdir()
    # As under the supervisor: the signal waits until the process has a handler.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    yield make
    for number, handler in handlers.items():
        signal.signal(number, handler)
    for one in servers:
        one.close()


def test_sigterm_delivers_what_is_left_before_its_time(tmp_path: Path, start: Start) -> None:
    sink = MemorySink()
    write_segments(tmp_path / "spool", [ids(3), ids(2, start=3)])
    assert start(sink, 60).run() == 0
    assert [row.request_id for row in sink.rows()] == ["r0", "r1", "r2", "r3", "r4"]
    assert list((tmp_path / "spool").iterdir()) == []


def test_sigterm_ends_the_process_while_the_sink_hangs(
    tmp_path: Path, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    released, ended = threading.Event(), threading.Event()
    sink = MemorySink(before=lambda: released.wait(60) and None, after=ended.set)
    write_segments(tmp_path / "spool", [ids(3)])
    assert start(sink, 0.2).run() == 1
    assert "bytes of records that storage does not have" in caplog.text
    released.set()
    assert ended.wait(60)


def watch(folder: Path) -> tuple[_SpoolWatch, Clock]:
    clock = Clock()
    return _SpoolWatch(folder, clock), clock


def test_spool_without_a_file_has_no_records_after_a_minute(tmp_path: Path) -> None:
    spool, clock = watch(tmp_path)
    clock.now += 60
    assert not spool.has_no_records({})
    clock.now += 1
    assert spool.has_no_records({"storage": SinkState()})


def test_file_of_a_writer_ends_the_state_for_good(tmp_path: Path) -> None:
    spool, clock = watch(tmp_path)
    clock.now += 61
    assert spool.has_no_records({})
    file = tmp_path / "front-1-00000000.open"
    file.touch()
    assert not spool.has_no_records({})
    file.unlink()  # all is delivered, and there are no requests
    assert not spool.has_no_records({})


def test_counters_of_an_earlier_process_tell_of_a_writer(tmp_path: Path) -> None:
    spool, clock = watch(tmp_path)
    clock.now += 61
    assert not spool.has_no_records({"storage": SinkState(totals=Totals(answered=1))})
