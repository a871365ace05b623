"""The end of a worker process that the kernel has killed for want of memory."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path
from typing import Any

import pytest

from modelyard.scoring.contract import OUT_OF_MEMORY
from modelyard.scoring.front import request_queue, server
from modelyard.scoring.front.lifecycle import Lifecycle
from modelyard.scoring.front.oom_kills import OomKills, report_end
from modelyard.scoring.settings import RuntimeSettings

MIB = 2**20
SETTINGS = RuntimeSettings.from_environment({"AZUREML_ENTRY_SCRIPT": "driver.py"})


def write_group(root: Path, version: int, kills: int, limit: str) -> None:
    """Write the files of a control group of version 1 or 2."""
    names = {
        1: ("memory.oom_control", "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat"),
        2: ("memory.events", "memory.max", "memory.current", "memory.stat"),
    }
    folder = root / "memory" if version == 1 else root
    folder.mkdir(exist_ok=True)
    texts = (f"oom 5\noom_kill {kills}\n", f"{limit}\n", "1\n", "inactive_file 0\n")
    for name, text in zip(names[version], texts, strict=True):
        (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("version", "limit", "expected"),
    [
        (1, str(64 * MIB), "a limit of 64 MiB"),
        (1, "9223372036854771712", "no limit"),
        (2, str(64 * MIB), "a limit of 64 MiB"),
        (2, "max", "no limit"),
    ],
)
def test_limit_and_kills_are_read_from_both_versions_of_control_groups(
    tmp_path: Path, version: int, limit: str, expected: str
) -> None:
    write_group(tmp_path, version, 2, limit)
    kills = OomKills(tmp_path)
    assert not kills.has_grown()
    write_group(tmp_path, version, 3, limit)
    assert [kills.has_grown(), kills.has_grown()] == [True, False]
    assert f"used 60 MiB; the container has {expected}" in kills.describe(60 * MIB)


def test_process_outside_of_a_container_has_no_limit_and_no_kills(tmp_path: Path) -> None:
    kills = OomKills(tmp_path)
    assert not kills.has_grown()
    assert "no limit" in kills.describe(0)


def test_reason_of_the_end_is_written_only_into_an_existing_file(tmp_path: Path) -> None:
    file = tmp_path / "termination-log"
    assert not report_end("reason", file)
    file.write_text("an older and longer reason")
    assert report_end("reason", file)
    assert file.read_text() == "reason"


class Worker:
    """A worker process that has ended."""

    pid = 7
    description = None
    born_at = 0.0
    killing = False
    peak_bytes = 60 * MIB

    def __init__(self, exit_code: int | None = -signal.SIGKILL) -> None:
        self.exit_code = exit_code
        self.in_flight: dict[int, Any] = {}

    def last_begun(self) -> int:
        return 0


class Listener:
    """A server that records the calls of the queue."""

    def __init__(self, *, ends: bool = True) -> None:
        self.calls: list[tuple[str, Any]] = []
        self._ends = ends

    def on_fatal_error(self, message: str, exception: str | None) -> None:
        self.calls.append((message, exception))

    def on_out_of_memory(self, message: str, *, serves: bool) -> bool:
        self.calls.append((message, serves))
        return self._ends


async def end(tmp_path: Path, listener: Listener, worker: Worker, *, kills: int = 1) -> None:
    """End a worker before its init() has returned, after the kernel has killed some processes."""
    write_group(tmp_path, 2, 0, str(64 * MIB))
    listener_: Any = listener
    worker_: Any = worker
    queue = request_queue.RequestQueue(SETTINGS, Lifecycle(), listener_, (), lambda: None)  # type: ignore[arg-type,return-value]
    queue._oom_kills = OomKills(tmp_path)
    queue.workers = [worker_]
    write_group(tmp_path, 2, kills, str(64 * MIB))
    queue.on_ended(worker_)


async def test_kill_by_the_kernel_ends_the_container_with_the_figures(tmp_path: Path) -> None:
    listener = Listener()
    await end(tmp_path, listener, Worker())
    message = "the kernel killed a worker process that used 60 MiB; the container has a limit of 64 MiB"
    assert listener.calls == [(message, False)]


async def test_kill_by_the_kernel_outside_of_kubernetes_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Listener(ends=False)
    with caplog.at_level(logging.ERROR):
        await end(tmp_path, listener, Worker())
    assert "used 60 MiB" in caplog.text
    assert listener.calls[1] == ("the worker ended in init() with exit code -9", None)


@pytest.mark.parametrize(("exit_code", "kills"), [(-signal.SIGKILL, 0), (1, 1)], ids=["kill", "exit"])
async def test_other_ends_of_a_worker_are_not_for_want_of_memory(
    tmp_path: Path, exit_code: int, kills: int
) -> None:
    listener = Listener()
    await end(tmp_path, listener, Worker(exit_code), kills=kills)
    assert listener.calls == [(f"the worker ended in init() with exit code {exit_code}", None)]


async def test_worker_that_the_front_kills_is_not_for_want_of_memory(tmp_path: Path) -> None:
    worker, listener = Worker(), Listener()
    worker.killing = True
    await end(tmp_path, listener, worker)
    assert "init()" in listener.calls[0][0]


@pytest.mark.parametrize("serves", [True, False])
async def test_server_drains_if_other_workers_serve_and_ends_with_its_own_exit_code(
    monkeypatch: pytest.MonkeyPatch, serves: bool
) -> None:
    monkeypatch.setattr(server, "report_end", lambda message: True)
    monkeypatch.setattr(server, "_exit_after", lambda seconds, code: None)
    found = server.ScoringServer(SETTINGS, (), lambda: None, None)  # type: ignore[arg-type,return-value]
    assert found.on_out_of_memory("out of memory", serves=serves)
    assert found._lifecycle.draining is serves
    assert (found._exit_code, found._stop.is_set()) == (OUT_OF_MEMORY, True)


async def test_server_goes_on_outside_of_kubernetes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "report_end", lambda message: False)
    found = server.ScoringServer(SETTINGS, (), lambda: None, None)  # type: ignore[arg-type,return-value]
    assert not found.on_out_of_memory("out of memory", serves=False)
    assert not found._stop.is_set()
    await asyncio.sleep(0)
