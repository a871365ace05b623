"""PID 1 of the side-car, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from modelyard.collection import supervisor
from modelyard.collection.supervisor import Supervisor

PROGRAM = """
import signal, sys
from modelyard.backoff import Backoff
from modelyard.collection.supervisor import run
sys.exit(run((sys.executable, "-c", sys.argv[1]), Backoff(0.01, 0.01)))
"""
CHILD = """
import os, signal, sys, time
def stop(*_):
    print("stopped", flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
print(os.getpid(), flush=True)
time.sleep(60)
"""


def supervise(child: str) -> subprocess.Popen[str]:
    path = str(Path(__file__).parents[3] / "operator")
    command = [sys.executable, "-c", PROGRAM, child]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path})


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_killed_process_starts_again_and_gets_sigterm() -> None:
    with supervise(CHILD) as supervisor:
        first = int(line(supervisor))
        os.kill(first, signal.SIGKILL)
        second = int(line(supervisor))
        assert second != first
        supervisor.terminate()
        assert line(supervisor) == "stopped"
        assert supervisor.wait(30) == 0


def test_process_takes_no_core_from_others_when_it_wakes() -> None:
    with supervise(CHILD) as supervisor:
        assert os.sched_getscheduler(int(line(supervisor))) == os.SCHED_BATCH
        supervisor.terminate()
        assert supervisor.wait(30) == 0


def test_process_that_died_starts_once_more_at_the_end() -> None:
    """The records that are left are delivered, though SIGTERM came while no process ran."""
    child = CHILD.replace("time.sleep(60)", "os.kill(os.getpid(), signal.SIGKILL)")
    program = PROGRAM.replace("Backoff(0.01, 0.01)", "Backoff(3600, 3600)")
    path = str(Path(__file__).parents[3] / "operator")
    command = [sys.executable, "-c", program, child]
    environment = os.environ | {"PYTHONPATH": path}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as supervisor:
        line(supervisor)
        assert supervisor.stderr
        assert "the next one starts in 3600 s" in supervisor.stderr.readline()
        supervisor.terminate()
        assert line(supervisor) == "stopped"
        assert supervisor.wait(30) == 0


@pytest.mark.parametrize("code", [1, 2])
def test_exit_code_is_that_of_the_last_process(code: int) -> None:
    with supervise(CHILD.replace("os._exit(0)", f"os._exit({code})")) as supervisor:
        line(supervisor)
        supervisor.terminate()
        assert supervisor.wait(30) == code


def test_process_that_never_works_starts_each_5_seconds() -> None:
    """Without the process there is no page with the state, and the spool fills."""
    process = Supervisor(("false",), supervisor._BACKOFF, clock=lambda: 0.0)
    for _ in range(20):
        process._note_end(1)
    assert process.seconds_to_start() == 5


def test_supervisor_loads_no_module_that_only_the_collecting_process_needs() -> None:
    """Dataclasses alone take 1.5 MB, for the whole life of the pod."""
    program = "import sys; import modelyard.collection.supervisor; print(*sys.modules)"
    path = str(Path(__file__).parents[3] / "operator")
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"dataclasses", "inspect", "logging", "orjson"}.isdisjoint(done.stdout.split())
