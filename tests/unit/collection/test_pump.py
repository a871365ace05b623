"""Failures of a sink, changes of the Secret, and the last delivery."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.unit.collection.spool_files import Harness, MemorySink, ids, write_segments

from modelyard.collection.pump import Pump
from modelyard.collection.sink import BatchLimits, Sink, SinkError, Trouble


class FailingSink(MemorySink):
    """Fails with an error until a test sets it to None."""

    error: BaseException | None = SinkError(Trouble.REFUSED, "no rights")

    def deliver(self, batch):  # type: ignore[no-untyped-def]
        if self.error:
            raise self.error
        return super().deliver(batch)


def failing(folder: Path, error: BaseException) -> tuple[Harness, FailingSink, Pump]:
    sink = FailingSink()
    sink.error = error
    harness = Harness(folder, sink)
    write_segments(harness.spool_dir, [ids(3)])
    pump = harness.start()
    pump.step()
    return harness, sink, pump


def test_refusal_is_told_and_tried_again_after_the_wait(tmp_path: Path) -> None:
    harness, sink, pump = failing(tmp_path, SinkError(Trouble.REFUSED, "no rights"))
    assert 0 < pump.step() <= 5
    assert (pump.status.state.reason, pump.status.state.message) == ("StorageRefused", "no rights")
    sink.error = None
    pump.step()
    assert sink.files == {}  # the wait is not over
    harness.clock.now += 60
    harness.drain(pump)
    assert pump.status.state.reason == ""
    assert pump.status.state.totals.rows == 3
    assert pump.status.state.failures == {"StorageRefused": 1}


def test_refusal_without_an_end_loses_no_row(tmp_path: Path) -> None:
    harness, sink, pump = failing(tmp_path, SinkError(Trouble.UNAVAILABLE, "no answer"))
    for _ in range(50):
        pump.step()
        harness.clock.now += 60
    assert pump.status.state.backlog_bytes > 0
    sink.error = None
    harness.drain(pump)
    assert [row.request_id for row in sink.rows()] == ["r0", "r1", "r2"]


def test_batch_that_always_makes_the_process_fail_is_dropped_and_counted(tmp_path: Path) -> None:
    harness, sink, pump = failing(tmp_path, ValueError("a bug"))
    for _ in range(5):
        pump.step()
        harness.clock.now += 60
    write_segments(harness.spool_dir, [ids(2, start=10)])
    sink.error = None
    harness.drain(pump)
    assert [row.request_id for row in sink.rows()] == ["r10", "r11"]
    assert pump.status.state.totals.dropped == {"invalid": 3}


def test_failure_of_the_disk_drops_nothing(tmp_path: Path) -> None:
    harness, sink, pump = failing(tmp_path, OSError(28, "No space left on device"))
    for _ in range(9):
        pump.step()
        harness.clock.now += 60
    assert pump.status.state.reason == "CollectorFailed"
    assert "No space left" in pump.status.state.message
    sink.error = None
    harness.drain(pump)
    assert pump.status.state.totals.rows == 3


def test_changed_secret_makes_another_sink_at_once(tmp_path: Path) -> None:
    opened: list[Mapping[str, str]] = []
    sink = MemorySink()

    def open_sink(secret: Mapping[str, str]) -> Sink:
        opened.append(dict(secret))
        if not secret:
            raise SinkError(Trouble.NOT_CONFIGURED, "no storage is named")
        return sink

    harness = Harness(tmp_path, sink, open=open_sink)
    write_segments(harness.spool_dir, [ids(3)])
    pump = harness.start()
    for _ in range(3):
        pump.step()
    assert pump.status.state.reason == "StorageNotConfigured"
    harness.secret = {"storageUrl": "s3://b"}
    harness.drain(pump)
    assert pump.status.state.reason == ""
    assert pump.status.state.totals.rows == 3
    harness.secret = {"storageUrl": "s3://c"}
    pump.step()
    assert sink.closed == 1
    assert opened[-1] == {"storageUrl": "s3://c"}


def test_small_segments_wait_for_the_batch_and_not_for_the_end(tmp_path: Path) -> None:
    sink = MemorySink()
    harness = Harness(tmp_path, sink, limits=BatchLimits(seconds=60, size=10**9, segments=100))
    write_segments(harness.spool_dir, [ids(3)])
    pump = harness.drain()
    assert sink.files == {}
    assert pump.status.state.backlog_bytes > 0
    pump.step(flush=True)
    assert len(sink.files) == 1


def test_files_of_a_driver_never_stop_the_collection(tmp_path: Path) -> None:
    sink = MemorySink()
    harness = Harness(tmp_path, sink)
    folder = harness.spool_dir
    (folder / "a-1-00000000.segment").mkdir()
    (folder / "a-2-00000000.segment").symlink_to("/etc/passwd")
    (folder / "a-3-00000000.segment").write_bytes(b"\0" * 100)
    (folder / f"a-{'9' * 20}-00000000.segment").write_bytes(b"nonsense")
    write_segments(folder, [ids(3)])
    pump = harness.drain()
    assert pump.status.state.totals.rows == 3
    assert pump.status.state.totals.dropped == {"torn": 2}
    assert [path.name for path in folder.iterdir()] == ["a-1-00000000.segment"]
    assert harness.drain().status.state.totals.rows == 3
