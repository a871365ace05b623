"""Drivers with `async def`: many requests in one worker, cancelled when no client waits for them."""

import http.client
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.unit.scoring.conftest import Gates
from tests.unit.scoring.scoring_process import (
    ScoringProcess,
    metric,
    read_response,
    send_request,
    until,
    worker_pids,
)

DRIVER = """
import asyncio, contextvars, inspect, logging, os, pathlib, time
from azureml.contrib.services.aml_request import rawhttp
from azureml.contrib.services.aml_response import AMLResponse
folder = pathlib.Path(os.environ["TEST_FOLDER"])
import_loop = asyncio.get_event_loop()
current = contextvars.ContextVar("current", default="none")
from_init = contextvars.ContextVar("from_init", default="none")

async def init():
    global loop, lock, ticks, ticking
    loop = asyncio.get_running_loop()
    lock = asyncio.Lock()
    ticks = 0
    from_init.set("set")
    ticking = asyncio.create_task(tick())

async def tick():
    global ticks
    try:
        while True:
            await asyncio.sleep(0.01)
            ticks += 1
    finally:
        (folder / "background-ended").touch()

async def gated(name):
    (folder / f"begun-{name}").touch()
    try:
        while not (folder / f"open-{name}").exists():
            await asyncio.sleep(0.005)
    except asyncio.CancelledError:
        (folder / f"cancelled-{name}").touch()
        raise
    finally:
        await asyncio.sleep(0)
        (folder / f"finally-{name}").touch()
    return name

async def remembers(name):
    current.set(name)
    await gated(name)
    return current.get(), from_init.get()

async def stubborn(name):
    while True:
        try:
            await gated(name)
        except asyncio.CancelledError:
            pass

async def cancels_itself():
    future = loop.create_future()
    future.cancel()
    await future

async def pieces(name):
    try:
        yield "one"
        await gated(name)
        yield "two"
    finally:
        (folder / f"closed-{name}").touch()

async def endless(name):
    try:
        while True:
            yield "x" * 100_000
    finally:
        await asyncio.sleep(0)
        (folder / f"closed-{name}").touch()

def plain_pieces(name):
    try:
        yield "one"
        (folder / f"begun-{name}").touch()
        while not (folder / f"open-{name}").exists():
            time.sleep(0.005)
        yield "two"
    finally:
        (folder / f"closed-{name}").touch()

def block(name):
    (folder / f"begun-{name}").touch()
    while not (folder / f"open-{name}").exists():
        time.sleep(0.005)
    return "blocked"

async def value(result):
    return result
"""

PLAIN = (
    DRIVER
    + """
async def run(data):
    result = eval(data)
    return await result if inspect.isawaitable(result) else result
"""
)

MANY = {"MODELYARD_MAX_CONCURRENT_REQUESTS": "16", "MODELYARD_QUEUE_TIMEOUT_MS": "60000"}


@pytest.fixture
def scoring(serve) -> ScoringProcess:
    return serve(PLAIN, **MANY)


@pytest.fixture(scope="module")
def shared(serve_module) -> ScoringProcess:
    """Return one process for all tests that leave nothing behind."""
    return serve_module(PLAIN, MANY)


def appears(folder: Path, name: str) -> None:
    until((folder / name).exists, name)


def running(scoring: ScoringProcess) -> int:
    return int(metric(scoring, "modelyard_scoring_running"))


def begin(connection: socket.socket, expression: str) -> http.client.HTTPResponse:
    """Send a request, and return the response at the end of its headers."""
    send_request(connection, "POST", "/score", expression.encode())
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response


def test_requests_of_one_worker_run_at_once_up_to_the_concurrency(
    scoring: ScoringProcess, gates: Gates
) -> None:
    names = [f"n{number}" for number in range(17)]
    with ThreadPoolExecutor(len(names)) as pool:
        responses = [pool.submit(scoring.score, f"gated({name!r})".encode()) for name in names]
        until(lambda: running(scoring) == 16, "16 requests in flight")
        until(lambda: sum(gates.has_begun(name) for name in names) == 16, "16 runs")
        until(lambda: metric(scoring, "modelyard_scoring_waiting") == 1, "the last request in the queue")
        assert metric(scoring, "modelyard_scoring_concurrency") == 16
        for name in names:
            gates.open(name)
        assert [response.result().json() for response in responses] == names
    assert running(scoring) == 0


def test_init_and_all_runs_share_one_event_loop_that_exists_at_the_import(shared: ScoringProcess) -> None:
    for expression in (
        "asyncio.get_running_loop() is loop is import_loop",
        "asyncio.get_event_loop() is loop",
    ):
        assert shared.score(expression.encode()).json() is True


def test_task_of_init_goes_on_between_requests(shared: ScoringProcess) -> None:
    until(lambda: shared.score(b"ticks").json() > 5, "turns of the task")


def test_context_variables_are_those_of_init_and_of_the_request(
    scoring: ScoringProcess, gates: Gates
) -> None:
    with ThreadPoolExecutor() as pool:
        responses = [pool.submit(scoring.score, f"remembers({name!r})".encode()) for name in "ab"]
        for name in "ab":
            gates.wait_begun(name)
        for name in "ab":
            gates.open(name)
        assert [response.result().json() for response in responses] == [["a", "set"], ["b", "set"]]
    assert scoring.score(b"current.get()").json() == "none"


def test_request_is_cancelled_when_its_client_closes_the_connection(
    scoring: ScoringProcess, gates: Gates, tmp_path: Path
) -> None:
    with scoring.connection() as connection:
        send_request(connection, "POST", "/score", b"gated('a')")
        gates.wait_begun("a")
        assert running(scoring) == 1
    appears(tmp_path, "cancelled-a")
    appears(tmp_path, "finally-a")

    until(lambda: running(scoring) == 0, "a free place")
    assert metric(scoring, 'modelyard_scoring_requests_total{code="499"}') == 1
    assert metric(scoring, "modelyard_scoring_worker_restarts_total") == 0


def test_waiting_request_of_a_client_that_left_never_runs(serve, gates: Gates, tmp_path: Path) -> None:
    scoring = serve(PLAIN, MODELYARD_QUEUE_TIMEOUT_MS="60000")
    with ThreadPoolExecutor() as pool:
        first = pool.submit(scoring.score, b"gated('a')")
        gates.wait_begun("a")
        with scoring.connection() as connection:
            send_request(connection, "POST", "/score", b"gated('b')")
            until(lambda: metric(scoring, "modelyard_scoring_waiting") == 1, "the second request")
        until(lambda: metric(scoring, 'modelyard_scoring_requests_total{code="499"}') == 1, "its end")
        gates.open("a")
        assert first.result().json() == "a"
    assert scoring.score(b"1").json() == 1
    assert not gates.has_begun("b")


def test_client_that_closes_its_sending_side_gets_its_response(scoring: ScoringProcess, gates: Gates) -> None:
    with scoring.connection() as connection:
        send_request(connection, "POST", "/score", b"gated('a')")
        gates.wait_begun("a")
        connection.shutdown(socket.SHUT_WR)
        until(lambda: scoring.score(b"ticks").json() > 150, "three checks of the connection")
        gates.open("a")
        assert read_response(connection).json() == "a"


def test_request_over_its_time_limit_is_cancelled_and_others_go_on(
    serve, gates: Gates, tmp_path: Path
) -> None:
    scoring = serve(PLAIN, **MANY, SCORING_TIMEOUT_MS="600")
    with scoring.connection() as connection:
        send_request(connection, "POST", "/score", b"gated('a')")
        pid = scoring.score(b"os.getpid()").json()
        response = read_response(connection)
    assert (response.status, response.message) == (500, "Scoring timeout after 600 ms")
    appears(tmp_path, "finally-a")
    assert (tmp_path / "cancelled-a").exists()
    assert scoring.score(b"os.getpid()").json() == pid


def test_worker_whose_request_ignores_the_cancellation_is_replaced(serve, gates: Gates) -> None:
    scoring = serve(PLAIN, **MANY, SCORING_TIMEOUT_MS="300")
    pid = scoring.score(b"os.getpid()").json()
    assert scoring.score(b"stubborn('a')").status == 500
    until(lambda: scoring.score(b"os.getpid()").json() not in (pid, None), "a new worker", poll_seconds=0.2)
    assert "a run() is over its time" in scoring.log


@pytest.mark.parametrize(
    ("expression", "exception"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("cancels_itself()", "CancelledError"),
        ("exit(7)", "SystemExit: 7"),
        ("object()", "object"),
    ],
)
def test_exception_is_a_500_with_its_traceback_in_the_log(
    shared: ScoringProcess, expression: str, exception: str
) -> None:
    response = shared.score(expression.encode(), {"x-request-id": f"id of {expression}"})
    assert (response.status, response.headers["x-ms-run-function-failed"]) == (500, "True")
    line = next(line for line in shared.log_lines() if line.get("requestId") == f"id of {expression}")
    assert exception in line["exception"]
    assert "async_server" not in line["exception"]
    assert shared.score(b"1").json() == 1


def test_blocked_event_loop_stops_no_probe_and_is_named_in_the_log(
    scoring: ScoringProcess, gates: Gates
) -> None:
    with ThreadPoolExecutor() as pool:
        blocked = pool.submit(scoring.score, b"block('a')", {"x-request-id": "the one that blocks"})
        gates.wait_begun("a")
        assert scoring.request("GET", "/").status == 200
        assert scoring.request("GET", "/ready").status == 200
        until(lambda: "has been blocked" in scoring.log, "the warning")
        gates.open("a")
        assert blocked.result().json() == "blocked"
    line = next(line for line in scoring.log_lines() if "has been blocked" in line["message"])
    assert (line["level"], line["requestId"]) == ("warning", "the one that blocks")
    assert "driver.py" in line["message"]
    assert "in block()" in line["message"]
    assert "asyncio.to_thread" in line["message"]
    assert "block(name)" in line["exception"] or "in block" in line["exception"]


def test_worker_with_a_blocked_event_loop_is_not_ready(serve, gates: Gates) -> None:
    scoring = serve(PLAIN, **MANY, MODELYARD_STUCK_SECONDS="1")
    with ThreadPoolExecutor() as pool:
        blocked = pool.submit(scoring.score, b"block('a')")
        gates.wait_begun("a")
        other = pool.submit(scoring.score, b"1")
        until(lambda: scoring.request("GET", "/ready").status == 503, "not ready", poll_seconds=0.1)
        gates.open("a")
        assert blocked.result().status == other.result().status == 200
    until(scoring.is_ready, "readiness")


@pytest.mark.parametrize("expression", ["pieces('a')", "AMLResponse(pieces('a'), 200)", "plain_pieces('a')"])
def test_stream_goes_out_while_other_requests_run(
    scoring: ScoringProcess, gates: Gates, expression: str
) -> None:
    with scoring.connection() as connection:
        response = begin(connection, expression)
        assert response.read1() == b"one"
        gates.wait_begun("a")
        assert scoring.score(b"'between'").json() == "between"
        gates.open("a")
        assert response.read() == b"two"
    assert metric(scoring, 'modelyard_scoring_streams_total{end="complete"}') == 1


@pytest.mark.parametrize("expression", ["endless('a')", "AMLResponse(endless('a'), 200)"])
def test_stream_is_closed_when_its_client_leaves(
    scoring: ScoringProcess, tmp_path: Path, expression: str
) -> None:
    with scoring.connection() as connection, begin(connection, expression) as response:
        response.read(3)
    appears(tmp_path, "closed-a")
    until(lambda: running(scoring) == 0, "a free place")
    assert metric(scoring, 'modelyard_scoring_streams_total{end="left"}') == 1


def test_many_streams_have_their_own_pieces(shared: ScoringProcess) -> None:
    def stream(number: int) -> bytes:
        return shared.score(f"(str({number}) * 100_000 for _ in range(20))".encode()).body

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(stream, range(8))) == [str(number).encode() * 2_000_000 for number in range(8)]


def test_run_that_is_an_async_generator_streams(serve) -> None:
    scoring = serve("def init(): pass\nasync def run(data):\n    for letter in data:\n        yield letter\n")
    response = scoring.score(b"abc")
    assert (response.body, response.headers["transfer-encoding"]) == (b"abc", "chunked")


def test_accepted_request_ends_after_sigterm_and_tasks_of_init_are_cancelled(
    scoring: ScoringProcess, gates: Gates, tmp_path: Path
) -> None:
    with scoring.connection() as connection:
        send_request(connection, "POST", "/score", b"gated('a')")
        gates.wait_begun("a")
        scoring.terminate()
        until(lambda: not scoring.is_listening(), "the port to close")
        gates.open("a")
        assert read_response(connection).json() == "a"
    assert scoring.exit_code() == 0
    assert (tmp_path / "background-ended").exists()


def test_request_that_outlasts_the_drain_time_is_cancelled(serve, gates: Gates, tmp_path: Path) -> None:
    scoring = serve(PLAIN, **MANY, MODELYARD_DRAIN_SECONDS="2")
    with scoring.connection() as connection:
        send_request(connection, "POST", "/score", b"gated('a')")
        gates.wait_begun("a")
        scoring.terminate()
        assert read_response(connection).status == 503
    assert scoring.exit_code() == 0
    assert (tmp_path / "finally-a").exists()


def test_large_requests_and_responses_are_intact(shared: ScoringProcess) -> None:
    body = b"len('''" + b"x" * 3_000_000 + b"''')"
    with ThreadPoolExecutor(4) as pool:
        lengths = [response.json() for response in pool.map(shared.score, [body] * 4)]
    assert lengths == [3_000_000] * 4
    assert len(shared.score(b"'x' * 3_000_000").body) == 3_000_002


def test_request_with_rawhttp_and_response_of_a_driver(serve) -> None:
    scoring = serve(
        DRIVER
        + """
@rawhttp
async def run(request):
    await asyncio.sleep(0.001)
    return AMLResponse(request.args["a"] + request.get_data(as_text=True), 201, {"X-A": "1"})
"""
    )
    response = scoring.request("POST", "/score?a=1", b"body")
    assert (response.status, response.body, response.headers["x-a"]) == (201, b"1body", "1")


def test_hints_and_request_headers_of_an_async_run(serve) -> None:
    scoring = serve(
        "async def init(): pass\n"
        "async def run(rows: list[int], request_headers):\n"
        "    return sum(rows), request_headers['X-Request-Id']\n"
    )
    headers = {"Content-Type": "application/json", "x-request-id": "one"}
    assert scoring.score(b'{"rows": [1, 2]}', headers).json() == [3, "one"]
    assert scoring.score(b'{"rows": [1.5]}', headers).status == 400
    document = scoring.request("GET", "/swagger.json?version=3").json()
    assert "rows" in json.dumps(document)
    tensor = {"name": "rows", "datatype": "INT64", "shape": [2], "data": [1, 2]}
    body = json.dumps({"inputs": [tensor]}).encode()
    assert scoring.request("POST", "/v2/models/m/infer", body, headers).json()["id"] == "one"


def test_clients_of_a_plain_init_find_the_running_loop(serve) -> None:
    scoring = serve(
        "import asyncio\n"
        "def init(): global loop; loop = asyncio.get_running_loop()\n"
        "async def run(data): return loop is asyncio.get_running_loop()\n"
    )
    assert scoring.score(b"").json() is True


def test_async_driver_declared_unsafe_has_a_process_for_each_request(serve, gates: Gates) -> None:
    scoring = serve(PLAIN + "THREAD_SAFE = False\n", **{**MANY, "MODELYARD_MAX_CONCURRENT_REQUESTS": "2"})
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(scoring.score, b"gated('a')")
        gates.wait_begun("a")
        assert scoring.score(b"1").json() == 1
        pids = worker_pids(scoring)
        gates.open("a")
        waiting.result()
    assert len(pids) == 2


def test_exception_of_an_async_init_ends_the_process(serve) -> None:
    scoring = serve(
        "async def init(): raise OSError('no model')\nasync def run(data): pass\n", wait_ready=False
    )
    assert scoring.exit_code() == 3
    line = next(line for line in scoring.log_lines() if line["level"] == "critical")
    assert line["message"] == "init() of the driver driver.py failed"
    assert "OSError: no model" in line["exception"]


SYNC = """
import asyncio, functools
THREAD_SAFE = True
async def predict(data):
    await asyncio.sleep(0.001)
    return "async " + data
async def items(data):
    for letter in data:
        yield letter
async def init():
    global loop
    loop = asyncio.get_running_loop()
def run(data):
    kind, _, data = data.partition(" ")
    if kind == "run":
        return asyncio.run(predict(data))
    if kind == "close":
        asyncio.get_event_loop().close()
        return kind
    if kind == "items":
        return items(data)
    if kind == "loop":
        return asyncio.get_event_loop() is loop
    if kind == "return":
        return predict(data)
    return asyncio.get_event_loop().run_until_complete(predict(data))
"""


@pytest.mark.parametrize("places", ["1", "3"])
def test_plain_run_uses_asyncio_in_any_thread_in_any_order(serve, places: str) -> None:
    scoring = serve(SYNC, MODELYARD_MAX_CONCURRENT_REQUESTS=places)
    for kind in ("until", "run", "until", "return", "until", "close", "until", "items", "run", "until") * 3:
        response = scoring.score(f"{kind} x".encode())
        assert response.status == 200, (kind, scoring.log)
        expected = {"close": b'"close"', "items": b"x"}.get(kind, b'"async x"')
        assert response.body == expected


def test_plain_run_in_the_main_thread_has_the_loop_of_init(serve) -> None:
    scoring = serve(SYNC)
    for kind in ("loop", "run", "loop"):
        assert scoring.score(f"{kind} x".encode()).json() in (True, "async x")


def test_plain_driver_never_loads_asyncio(serve) -> None:
    scoring = serve("import sys\ndef init(): pass\ndef run(data): return 'a' + 'syncio' in sys.modules\n")
    assert scoring.score(b"").json() is False
