"""Progress lines: the operator reads the lines that the builder writes."""

from __future__ import annotations

import io

import pytest

from modelyard.builder.log import BuildLog
from modelyard.contract.build_progress import (
    PAUSE_SECONDS,
    ProgressMeter,
    is_pushed_line,
    latest_progress,
    pushed_line,
)
from modelyard.contract.build_request import Step

MIB = 1024**2


@pytest.fixture
def out():
    return io.StringIO()


@pytest.fixture
def log(out):
    return BuildLog(out)


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_meter_line_is_read_as_progress(out, log):
    clock = Clock()
    log.enter(Step.PUSH)
    meter = ProgressMeter(log.write, "model diabetes:3", 100 * MIB, clock)
    clock.seconds = PAUSE_SECONDS
    meter.update(40 * MIB)
    log.write("the registry is slow")
    assert latest_progress(out.getvalue()) == "Push, model diabetes:3: 40 MiB of 100 MiB"


def test_meter_without_a_total_is_read_as_progress(out, log):
    clock = Clock()
    meter = ProgressMeter(log.write, "data.bin", None, clock)
    clock.seconds = PAUSE_SECONDS
    meter.update(1536)
    assert latest_progress(out.getvalue()) == "Fetch, data.bin: 1.5 KiB so far"


def test_meter_logs_at_intervals_and_at_the_end_of_a_long_transfer(out, log):
    clock = Clock()
    meter = ProgressMeter(log.write, "x", 1000, clock)
    for second in range(10):
        clock.seconds = second / 2
        meter.update(second * 100)
    meter.update(1000)
    assert out.getvalue() == "".join(
        f"[Fetch] x: {amount} bytes of 1000 bytes\n" for amount in (400, 800, 1000)
    )


def test_meter_does_not_log_a_short_transfer(out, log):
    ProgressMeter(log.write, "x", 1000, Clock()).update(1000)
    assert not out.getvalue()


def test_amount_of_an_earlier_step_is_not_reported(out, log):
    log.write("x: 1 MiB of 2 MiB")
    log.enter(Step.BUILD)
    log.write("Step 1/4 : FROM base")
    assert latest_progress(out.getvalue()) == "Build"


@pytest.mark.parametrize("text", ["", "Traceback", "[Nothing] x: 1 MiB of 2 MiB"])
def test_log_without_steps_has_no_progress(text):
    assert not latest_progress(text)


def test_last_line_of_a_successful_build_is_recognized(out, log):
    log.enter(Step.PUSH)
    log.write("model m:1: 40 MiB sent")
    log.write(pushed_line("r.example/m:t", f"sha256:{'0' * 64}"))
    assert [is_pushed_line(line) for line in out.getvalue().splitlines()] == [False, True]


@pytest.mark.parametrize(
    "line", ["", f"pushed r.example/m:t, sha256:{'0' * 64}", "[Push] pushed r.example/m:t, sha256:0"]
)
def test_other_lines_are_no_last_line(line):
    assert not is_pushed_line(line)
