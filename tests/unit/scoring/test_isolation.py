"""Worker processes: their environment, crashes, time limits and end."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.unit.scoring.conftest import GATED_DRIVER, Gates
from tests.unit.scoring.scoring_process import (
    Response,
    ScoringProcess,
    metric,
    read_response,
    send_request,
    until,
)

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
import os, sys
sys.path.insert(0, os.environ["TEST_FOLDER"] + "/packages")
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

        assert [scoring.request("GET", path).status for path in ("/", "/ready", "/metrics")] == [
            200,
            200,
            200,
        ]


def test_driver_has_its_own_versions_of_the_fronts_packages(serve, tmp_path: Path) -> None:
    """The same for modules with the names of the runtime's modules."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for name in ("uvloop", "httptools"):
        (packages / f"{name}.py").write_text("__version__ = '0.0.1'\n")
    app = tmp_path / "app"
    app.mkdir()
    for name in ("keys", "settings", "frames", "json5"):
        (app / f"{name}.py").write_text(f"mine = {name!r}\n")
    (app / "modules_of_the_driver.py").write_text(
        "from keys import mine as keys\nfrom settings import mine as settings\n"
    )

    scoring = serve(OLD_PINS)

    assert scoring.score(b"").json() == ["0.0.1", "0.0.1", "keys", "settings"]


def test_file_beside_the_driver_replaces_no_installed_module(serve, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    for name in ("secrets", "queue"):
        (tmp_path / "app" / f"{name}.py").write_text("raise ImportError('the file of the driver')\n")
    driver = "import secrets, queue\ndef init(): pass\ndef run(data): return secrets.token_hex(2)\n"

    assert len(serve(driver).score(b"").json()) == 4


def test_modules_of_the_source_directory_can_be_imported(serve, tmp_path: Path) -> None:
    (tmp_path / "app" / "src").mkdir(parents=True)
    (tmp_path / "app" / "src" / "helper_of_the_driver.py").write_text("answer = 42\n")
    driver = "import helper_of_the_driver as h\ndef init(): pass\ndef run(data): return h.answer\n"

    assert serve(driver, AZUREML_SOURCE_DIRECTORY="src").score(b"").json() == 42


def test_driver_cannot_import_the_runtimes_packages(serve, runtime: Path) -> None:
    driver = "import sys\ndef init(): pass\ndef run(data): return [sys.path, sorted(sys.modules)]\n"
    scoring = serve(driver)

    path, modules = scoring.score(b"").json()

    assert str(runtime) not in path
    unused = {"asyncio", "uvloop", "httptools", "werkzeug", "modelyard.scoring.front.server"}
    assert not unused & set(modules)


def test_crash_fails_its_request_and_worker_is_restarted(serve) -> None:
    scoring = serve(CRASHES, MODELYARD_QUEUE_TIMEOUT_MS="20000")
    first, _ = scoring.score(b"").json()

    crashed = scoring.score(b"crash")

    assert crashed.status == 500
    assert crashed.headers["x-ms-run-function-failed"] == "True"
    second, data = scoring.score(b"next").json()
    assert (second != first, data) == (True, "next")
    assert "modelyard_scoring_worker_restarts_total 1" in scoring.request("GET", "/metrics").body.decode()


def test_requests_behind_a_crash_are_scored_by_the_next_worker(serve) -> None:
    scoring = serve(CRASHES, MODELYARD_QUEUE_TIMEOUT_MS="20000")

    with ThreadPoolExecutor(12) as pool:
        bodies = [b"a"] * 5 + [b"crash"] + [b"b"] * 5
        statuses = [response.status for response in pool.map(scoring.score, bodies)]

    assert statuses == [200] * 5 + [500] + [200] * 5


def test_stuck_run_is_killed_and_its_stack_is_logged(serve, tmp_path: Path) -> None:
    scoring = serve(HOLDS_THE_GIL, SCORING_TIMEOUT_MS="300")

    late = scoring.score(b"3600")

    assert (late.status, late.message) == (500, "Scoring timeout after 300 ms")
    assert until(lambda: scoring.score(b"").status == 200, "another worker")
    assert 'driver.py", line 8 in run' in scoring.log


def test_stuck_driver_is_alive_and_not_ready(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, MODELYARD_STUCK_SECONDS="1")
    with scoring.connection() as busy:
        send_request(busy, "POST", "/score", b"one")
        gates.wait_begun("one")

        until(lambda: scoring.request("GET", "/ready").status == 503, "not ready")
        assert scoring.request("GET", "/").status == 200
        gates.open("one")
        until(scoring.is_ready, "ready again")


def test_replaced_worker_makes_a_stuck_process_ready_again(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, MODELYARD_STUCK_SECONDS="1", SCORING_TIMEOUT_MS="3000")
    with scoring.connection() as busy:
        send_request(busy, "POST", "/score", b"one")
        gates.wait_begun("one")

        until(lambda: scoring.request("GET", "/ready").status == 503, "not ready")
        assert read_response(busy).status == 500
    until(scoring.is_ready, "ready again")
    assert scoring.score(b"").status == 200
    assert "modelyard_scoring_worker_restarts_total 1" in scoring.request("GET", "/metrics").body.decode()


@pytest.mark.parametrize("second_init", ["time.sleep(3600)", "os._exit(1)"], ids=["hangs", "crashes"])
def test_restarted_worker_that_does_not_start_is_restarted_again(serve, second_init: str) -> None:
    hung = "sleep" in second_init
    limits = {"MODELYARD_INIT_SECONDS": "4" if hung else "60", "MODELYARD_QUEUE_TIMEOUT_MS": "60000"}
    scoring = serve(SECOND_INIT.format(second_init), **limits)

    assert scoring.score(b"crash").status == 500

    assert scoring.score(b"next").json() == "next"
    assert scoring.request("GET", "/").status == 200
    assert ("init() has not ended after 4 s" in scoring.log) is hung
    assert ('driver.py", line 9 in init' in scoring.log) is hung


def test_other_threads_of_a_stuck_worker_finish_their_requests(serve, gates: Gates) -> None:
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


def test_concurrent_requests_run_in_several_workers(serve, gates: Gates) -> None:
    driver = GATED_DRIVER.replace('return "scored " + data', "return os.getpid()")
    scoring = serve(driver, MODELYARD_WORKERS="2")
    with scoring.connection() as first, scoring.connection() as second:
        send_request(first, "POST", "/score", b"one")
        gates.wait_begun("one")
        send_request(second, "POST", "/score", b"two")
        gates.wait_begun("two")
        gates.open("one")
        gates.open("two")
        responses = [connection.recv(1000).rpartition(b"\r\n")[2] for connection in (first, second)]

    assert len(set(responses)) == 2


def test_worker_ends_with_the_front(serve) -> None:
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


def test_worker_that_holds_the_gil_ends_with_the_front(serve, tmp_path: Path) -> None:
    driver = HOLDS_THE_GIL.replace('"begun").touch()', '"begun").write_text(str(os.getpid()))')
    scoring = serve(driver)
    with scoring.connection() as busy:
        send_request(busy, "POST", "/score", b"3600")
        until(lambda: (tmp_path / "begun").exists() and (tmp_path / "begun").read_text(), "run() to begin")
        worker = int((tmp_path / "begun").read_text())

        scoring.process.kill()

        until(lambda: not is_running(worker), "the end of the worker")


POOLS = """
import concurrent.futures, multiprocessing, os
class Feature:
    def __init__(self, number): self.number = number
def init():
    global started
    started = True
def square(number): return number * number
def started_here(_): return "started" in globals()
def run(data):
    if data == "joblib":
        from joblib import Parallel, delayed
        return Parallel(n_jobs=2)(delayed(square)(number) for number in range(4))
    if data == "processes":
        from joblib import Parallel, delayed
        return [os.getpid(), *Parallel(n_jobs=2)(delayed(os.getpid)() for _ in range(2))]
    if data == "executor":
        with concurrent.futures.ProcessPoolExecutor(2) as pool:
            return [[*pool.map(square, range(4))], [one.number for one in pool.map(Feature, range(2))]]
    with multiprocessing.get_context(data).Pool(2) as pool:
        return [pool.map(square, range(4)), pool.map(started_here, range(2))]
"""


def test_child_processes_run_functions_of_the_driver(serve) -> None:
    scoring = serve(POOLS)

    assert scoring.score(b"spawn").json() == [[0, 1, 4, 9], [False, False]]
    assert scoring.score(b"forkserver").json() == [[0, 1, 4, 9], [False, False]]
    assert scoring.score(b"executor").json() == [[0, 1, 4, 9], [0, 1]]
    assert scoring.score(b"joblib").json() == [0, 1, 4, 9]


def test_child_processes_end_with_the_front(serve) -> None:
    scoring = serve(POOLS)
    processes = scoring.score(b"processes").json()

    scoring.process.send_signal(signal.SIGKILL)

    until(lambda: not any(is_running(pid) for pid in processes), "the end of worker and children")


def test_child_processes_end_with_the_worker(serve) -> None:
    scoring = serve(POOLS)
    processes = scoring.score(b"processes").json()

    os.kill(processes[0], signal.SIGKILL)

    until(lambda: not any(is_running(pid) for pid in processes), "the end of worker and children")


KEEPS_THE_REQUEST = """
import os, pathlib, sqlite3, time
folder = pathlib.Path(os.environ["TEST_FOLDER"])
customer = None
def init():
    global database
    database = sqlite3.connect(":memory:")
    database.execute("create table prices (price)")
    database.execute("insert into prices values (5)")
def run(data):
    global customer
    customer = data
    (folder / f"begun-{data}").touch()
    while not (folder / f"open-{data}").exists():
        time.sleep(0.01)
    return [customer, database.execute("select price from prices").fetchone()[0], os.getpid()]
"""
"""A driver for one request at a time: it has a global variable, and a connection of one thread."""


def run_at_once(scoring: ScoringProcess, gates: Gates, names: str) -> list[Response]:
    """Return the responses to requests that run at the same time."""
    with ThreadPoolExecutor(len(names)) as pool:
        responses = pool.map(scoring.score, [name.encode() for name in names])
        for name in names:
            gates.wait_begun(name)
        for name in names:
            gates.open(name)
        return list(responses)


@pytest.mark.parametrize("declaration", ["", "THREAD_SAFE = False\n"])
def test_concurrent_requests_run_in_processes_unless_the_driver_is_thread_safe(
    serve, gates: Gates, declaration: str
) -> None:
    limits = {"MODELYARD_MAX_CONCURRENT_REQUESTS": "3", "MODELYARD_QUEUE_TIMEOUT_MS": "60000"}
    scoring = serve(declaration + KEEPS_THE_REQUEST, **limits)

    results = [response.json() for response in run_at_once(scoring, gates, "abc")]

    assert [result[:2] for result in results] == [["a", 5], ["b", 5], ["c", 5]]
    assert len({process for _, _, process in results}) == 3
    assert "requests run at once" not in scoring.log


def test_requests_of_a_thread_safe_driver_run_in_one_process(serve, gates: Gates) -> None:
    driver = GATED_DRIVER.replace('return "scored " + data', "return os.getpid()")
    scoring = serve(driver, MODELYARD_MAX_CONCURRENT_REQUESTS="3", MODELYARD_QUEUE_TIMEOUT_MS="60000")

    results = [response.json() for response in run_at_once(scoring, gates, "abc")]

    assert len(set(results)) == 1


def test_declaration_in_the_file_that_a_generated_driver_imports_counts(serve, gates: Gates) -> None:
    user_file = GATED_DRIVER.replace('return "scored " + data', "return os.getpid()")
    generated = f"""
import types
driver_module = types.ModuleType("driver_module")
exec({user_file!r}, vars(driver_module))
def init(): driver_module.init()
def run(data): return driver_module.run(data)
"""
    scoring = serve(generated, MODELYARD_MAX_CONCURRENT_REQUESTS="2", MODELYARD_QUEUE_TIMEOUT_MS="60000")

    results = [response.json() for response in run_at_once(scoring, gates, "ab")]

    assert len(set(results)) == 1


@pytest.mark.parametrize(
    ("declaration", "variables", "places"),
    [
        ("", {}, 4),
        ("", {"WORKER_COUNT": "5"}, 5),
        ("THREAD_SAFE = False\n", {}, 6),
        ("THREAD_SAFE = True\n", {}, 6),
    ],
)
def test_undeclared_driver_has_four_processes_or_worker_count(
    serve, declaration: str, variables: dict[str, str], places: int
) -> None:
    scoring = serve(declaration + ECHO, MODELYARD_MAX_CONCURRENT_REQUESTS="6", **variables)

    assert metric(scoring, "modelyard_scoring_concurrency") == places
    assert (f"{places} requests run at once, not 6" in scoring.log) is (places < 6)


def test_requests_beyond_the_processes_wait_in_the_queue(serve, gates: Gates) -> None:
    limits = {"MODELYARD_MAX_CONCURRENT_REQUESTS": "5", "MODELYARD_QUEUE_TIMEOUT_MS": "1000"}
    scoring = serve(KEEPS_THE_REQUEST, **limits)
    with ThreadPoolExecutor(4) as pool:
        running = pool.map(scoring.score, [b"a", b"b", b"c", b"d"])
        for name in "abcd":
            gates.wait_begun(name)

        refusal = scoring.score(b"e")

        for name in "abcd":
            gates.open(name)
        assert [response.json()[0] for response in running] == ["a", "b", "c", "d"]
    assert refusal.status == 503
    assert refusal.message == "Overloaded: no place (of 4) began the request within 1000 ms. Try again later."
    assert not gates.has_begun("e")


LATE_PROCESSES = """
import os, pathlib, signal, time
folder = pathlib.Path(os.environ["TEST_FOLDER"])
def init():
    try:
        (folder / "first").touch(exist_ok=False)
    except FileExistsError:
        while not (folder / "open").exists():
            time.sleep(0.01)
def run(data):
    if data == "crash":
        (folder / "open").unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()
"""
"""A driver whose init() waits for a file in all processes but the first."""


def test_replica_is_ready_once_all_processes_are(serve, tmp_path: Path) -> None:
    scoring = serve(LATE_PROCESSES, wait_ready=False, MODELYARD_MAX_CONCURRENT_REQUESTS="2")
    until(lambda: scoring.is_listening() and scoring.score(b"").status == 200, "the first process")
    assert scoring.request("GET", "/ready").body == b"Initialising"
    assert scoring.request("GET", "/").status == 200

    (tmp_path / "open").touch()

    until(scoring.is_ready, "both processes")


def test_replica_stays_ready_while_one_of_its_processes_restarts(serve, tmp_path: Path) -> None:
    (tmp_path / "open").touch()
    scoring = serve(LATE_PROCESSES, MODELYARD_MAX_CONCURRENT_REQUESTS="2", MODELYARD_QUEUE_TIMEOUT_MS="60000")

    assert scoring.score(b"crash").status == 500

    until(lambda: metric(scoring, "modelyard_scoring_worker_restarts_total") == 1, "the restart")
    assert scoring.is_ready()
    assert scoring.score(b"").status == 200
    (tmp_path / "open").touch()


def test_declaration_that_is_no_boolean_ends_the_process(serve) -> None:
    scoring = serve("THREAD_SAFE = 'no'\n" + ECHO, wait_ready=False)
    assert scoring.exit_code() == 3
    assert "THREAD_SAFE of the driver must be True or False, not 'no'" in scoring.log
