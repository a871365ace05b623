"""The driver's process: what it sees, what it may do, and what becomes of it."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.unit.scoring.conftest import GATED_DRIVER, Gates
from tests.unit.scoring.running import read_answer, send_request, until

ECHO = "def init(): pass\ndef run(data): return data\n"

HOLDS_THE_GIL = """
import ctypes, os, pathlib
folder = pathlib.Path(os.environ["TEST_FOLDER"])
def init(): pass
def run(data):
    if data:
        (folder / "begun").touch()
        ctypes.PyDLL(None).sleep(int(data))  # a C call that keeps the GIL
    return "done"
"""

OLD_PINS = """
import uvloop, httptools, modules_of_the_driver
def init(): pass
def run(data):
    mine = modules_of_the_driver
    return [uvloop.__version__, httptools.__version__, mine.keys, mine.settings]
"""

CRASHES = """
import os, signal
def init(): pass
def run(data):
    if data == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    return [os.getpid(), data]
"""


SECOND_INIT = """
import os, pathlib, time
folder = pathlib.Path(os.environ["TEST_FOLDER"])
def init():
    if not (folder / "first").exists():
        (folder / "first").touch()
    elif not (folder / "second").exists():
        (folder / "second").touch()
        {}
def run(data):
    if data == "crash":
        os._exit(1)
    return data
"""


def test_probes_answer_while_a_c_call_holds_the_gil(serve, tmp_path: Path) -> None:
    scoring = serve(HOLDS_THE_GIL)
    with scoring.connection() as busy:
        send_request(busy, "POST", "/score", b"3600")
        until((tmp_path / "begun").exists, "run() to begin")

        assert [scoring.ask("GET", path).status for path in ("/", "/ready", "/metrics")] == [200, 200, 200]


def test_the_driver_may_have_other_versions_of_the_servers_packages(serve, tmp_path: Path) -> None:
    """And modules that are called as the runtime's own."""
    app = tmp_path / "app"
    app.mkdir()
    for name in ("uvloop", "httptools"):
        (app / f"{name}.py").write_text("__version__ = '0.0.1'\n")
    for name in ("keys", "settings", "frames", "json5"):
        (app / f"{name}.py").write_text(f"mine = {name!r}\n")
    (app / "modules_of_the_driver.py").write_text(
        "from keys import mine as keys\nfrom settings import mine as settings\n"
    )

    scoring = serve(OLD_PINS)

    assert scoring.score(b"").json() == ["0.0.1", "0.0.1", "keys", "settings"]


def test_the_driver_has_nothing_of_the_server(serve, runtime: Path) -> None:
    driver = "import sys\ndef init(): pass\ndef run(data): return [sys.path, sorted(sys.modules)]\n"
    scoring = serve(driver)

    path, modules = scoring.score(b"").json()

    assert str(runtime) not in path
    assert not {"asyncio", "uvloop", "httptools", "modelyard.scoring.front.server"} & set(modules)


def test_a_crash_costs_the_request_and_the_worker_comes_back(serve) -> None:
    scoring = serve(CRASHES, MODELYARD_QUEUE_TIMEOUT_MS="20000")
    first, _ = scoring.score(b"").json()

    crashed = scoring.score(b"crash")

    assert crashed.status == 500
    assert crashed.headers["x-ms-run-function-failed"] == "True"
    second, data = scoring.score(b"next").json()
    assert (second != first, data) == (True, "next")
    assert "modelyard_scoring_worker_restarts_total 1" in scoring.ask("GET", "/metrics").body.decode()


def test_what_waits_behind_a_crash_is_scored_by_the_next_worker(serve) -> None:
    scoring = serve(CRASHES, MODELYARD_QUEUE_TIMEOUT_MS="20000")

    with ThreadPoolExecutor(12) as pool:
        bodies = [b"a"] * 5 + [b"crash"] + [b"b"] * 5
        statuses = [answer.status for answer in pool.map(scoring.score, bodies)]

    assert statuses == [200] * 5 + [500] + [200] * 5


def test_a_stuck_run_is_ended_and_says_where_it_was(serve, tmp_path: Path) -> None:
    scoring = serve(HOLDS_THE_GIL, SCORING_TIMEOUT_MS="300")

    late = scoring.score(b"3600")

    assert (late.status, late.message) == (500, "Scoring timeout after 300 ms")
    assert until(lambda: scoring.score(b"").status == 200, "another worker")
    assert 'driver.py", line 8 in run' in scoring.log


def test_a_stuck_driver_is_not_ready_but_alive(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, MODELYARD_STUCK_SECONDS="1")
    with scoring.connection() as busy:
        send_request(busy, "POST", "/score", b"one")
        gates.wait_begun("one")

        until(lambda: scoring.ask("GET", "/ready").status == 503, "not ready")
        assert scoring.ask("GET", "/").status == 200
        gates.open("one")
        until(scoring.is_ready, "ready again")


def test_a_stuck_driver_is_ready_again_with_another_worker(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, MODELYARD_STUCK_SECONDS="1", SCORING_TIMEOUT_MS="3000")
    with scoring.connection() as busy:
        send_request(busy, "POST", "/score", b"one")
        gates.wait_begun("one")

        until(lambda: scoring.ask("GET", "/ready").status == 503, "not ready")
        assert read_answer(busy).status == 500
    until(scoring.is_ready, "ready again")
    assert scoring.score(b"").status == 200
    assert "modelyard_scoring_worker_restarts_total 1" in scoring.ask("GET", "/metrics").body.decode()


@pytest.mark.parametrize("second_init", ["time.sleep(3600)", "os._exit(1)"], ids=["hangs", "crashes"])
def test_a_restarted_worker_that_does_not_get_ready_is_restarted_too(serve, second_init: str) -> None:
    scoring = serve(
        SECOND_INIT.format(second_init), MODELYARD_INIT_SECONDS="2", MODELYARD_QUEUE_TIMEOUT_MS="20000"
    )

    assert scoring.score(b"crash").status == 500

    assert scoring.score(b"next").json() == "next"
    assert scoring.ask("GET", "/").status == 200
    hung = "sleep" in second_init
    assert ("init() has not ended after 2 s" in scoring.log) is hung
    assert ('driver.py", line 9 in init' in scoring.log) is hung


def test_a_timeout_ends_only_the_worker_that_is_stuck(serve, gates: Gates) -> None:
    """In one process, those beside it finish first."""
    limits = {"MODELYARD_MAX_CONCURRENT_REQUESTS": "2", "SCORING_TIMEOUT_MS": "1500"}
    scoring = serve(GATED_DRIVER, **limits)
    with scoring.connection() as stuck, scoring.connection() as beside:
        send_request(stuck, "POST", "/score", b"one")
        gates.wait_begun("one")
        until(lambda: scoring.score(b"").status == 200, "the other thread")
        send_request(beside, "POST", "/score", b"two")
        gates.wait_begun("two")
        gates.open("two")
        assert b"scored two" in beside.recv(1000)
        assert b"500" in stuck.recv(1000)

    until(lambda: scoring.score(b"").status == 200, "another worker")


def test_several_workers(serve, gates: Gates) -> None:
    driver = GATED_DRIVER.replace('return "scored " + data', "return os.getpid()")
    scoring = serve(driver, MODELYARD_WORKERS="2")
    with scoring.connection() as first, scoring.connection() as second:
        send_request(first, "POST", "/score", b"one")
        gates.wait_begun("one")
        send_request(second, "POST", "/score", b"two")
        gates.wait_begun("two")
        gates.open("one")
        gates.open("two")
        answers = [connection.recv(1000).rpartition(b"\r\n")[2] for connection in (first, second)]

    assert len(set(answers)) == 2


def test_the_worker_ends_with_the_front(serve) -> None:
    scoring = serve("import os\ndef init(): pass\ndef run(data): return os.getpid()\n")
    worker = scoring.score(b"").json()

    scoring.process.send_signal(signal.SIGKILL)

    until(lambda: not is_running(worker), "the end of the worker")


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or ") Z " not in stat.read_text()


def test_a_worker_that_holds_the_gil_ends_with_the_front_too(serve, tmp_path: Path) -> None:
    driver = HOLDS_THE_GIL.replace('"begun").touch()', '"begun").write_text(str(os.getpid()))')
    scoring = serve(driver)
    with scoring.connection() as busy:
        send_request(busy, "POST", "/score", b"3600")
        until(lambda: (tmp_path / "begun").exists() and (tmp_path / "begun").read_text(), "run() to begin")
        worker = int((tmp_path / "begun").read_text())

        scoring.process.kill()

        until(lambda: not is_running(worker), "the end of the worker")
