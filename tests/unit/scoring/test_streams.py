"""Results that go out in pieces, while the driver makes them."""

import http.client
import re
import socket
from pathlib import Path

import pytest
from tests.unit.scoring.conftest import Gates
from tests.unit.scoring.scoring_process import (
    ScoringProcess,
    metric,
    peak_mib,
    request_on,
    send_request,
    until,
    worker_pids,
)

DRIVER = """
import asyncio, itertools, os, pathlib, time
from azureml.contrib.services.aml_request import rawhttp
from azureml.contrib.services.aml_response import AMLResponse
folder = pathlib.Path(os.environ["TEST_FOLDER"])

def wait_open(name):
    (folder / f"begun-{name}").touch()
    while not (folder / f"open-{name}").exists():
        time.sleep(0.005)

def gated(name):
    try:
        yield "data: one\\n\\n"
        wait_open(name)
        yield "data: two\\n\\n"
    finally:
        (folder / f"closed-{name}").touch()

async def many_async(name):
    for piece in many(name):
        yield piece

async def gated_async(name):
    try:
        yield "one"
        while not (folder / f"open-{name}").exists():
            await asyncio.sleep(0.005)
        yield "two"
    finally:
        await asyncio.sleep(0)
        (folder / f"closed-{name}").touch()

def endless(name, size=100_000):
    try:
        made = 0
        while True:
            made += size
            (folder / f"made-{name}").write_text(str(made))
            yield bytes(size)
    finally:
        (folder / f"closed-{name}").touch()

def many(name):
    return itertools.islice(endless(name), 640)

def slow(name):
    try:
        yield "one"
        time.sleep(3600)
    finally:
        (folder / f"closed-{name}").touch()

def failing():
    yield "one"
    raise ValueError("a detail of the driver")

def failing_at_once():
    raise ValueError("a detail of the driver")
    yield

def exiting():
    yield "one"
    os._exit(1)

def init(): pass

def run(data):
    return eval(data)
"""


@pytest.fixture
def scoring(serve) -> ScoringProcess:
    return serve(DRIVER)


@pytest.fixture(scope="module")
def shared(serve_module) -> ScoringProcess:
    """Return one process for all tests that leave nothing behind."""
    return serve_module(DRIVER)


def closed(folder: Path, name: str = "a") -> bool:
    return (folder / f"closed-{name}").exists()


def made(folder: Path) -> int:
    """Return the bytes that endless('a') has made so far."""
    return int((folder / "made-a").read_text() or 0)


def size_at_pause(folder: Path) -> int:
    """Return the bytes that endless('a') has made when it waits for its client."""
    sizes = [0]

    def stands_still() -> bool:
        sizes.append(made(folder))
        return len(set(sizes[-4:])) == 1 and sizes[-1] > 0

    until(stands_still, "a pause of the driver", poll_seconds=0.2)
    return sizes[-1]


def begin(connection: socket.socket, expression: str, version: str = "1.1") -> http.client.HTTPResponse:
    """Send a request, and return the response at the end of its headers."""
    head = f"POST /score HTTP/{version}\r\nHost: test\r\nContent-Length: {len(expression)}\r\n\r\n"
    connection.sendall(head.encode() + expression.encode())
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_piece_arrives_before_the_next_one_is_made(
    scoring: ScoringProcess, gates: Gates, version: str
) -> None:
    expression = "AMLResponse(gated('a'), 200, {'Content-Type': 'text/event-stream'})"
    with scoring.connection() as connection:
        response = begin(connection, expression, version)
        assert response.read1() == b"data: one\n\n"
        gates.wait_begun("a")
        gates.open("a")
        assert response.read() == b"data: two\n\n"

    chunked = "chunked" if version == "1.1" else None
    assert response.headers["transfer-encoding"] == chunked
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["x-ms-run-function-failed"] == "False"


def test_piece_of_an_async_generator_arrives_before_the_next_one_is_made(
    scoring: ScoringProcess, gates: Gates, tmp_path: Path
) -> None:
    with scoring.connection() as connection:
        response = begin(connection, "gated_async('a')")
        assert response.read1() == b"one"
        gates.open("a")
        assert response.read() == b"two"
    until(lambda: closed(tmp_path), "the end of the generator")


@pytest.mark.parametrize(
    ("expression", "media_type", "body"),
    [
        ("(c for c in 'aü')", "text/plain; charset=utf-8", "aü".encode()),
        ("(c for c in (b'', b'a', b'b'))", "application/octet-stream", b"ab"),
        ("({'n': n} for n in (1, 2))", "application/x-ndjson", b'{"n": 1}\n{"n": 2}\n'),
        ("map(str, [1, 2])", "text/plain; charset=utf-8", b"12"),
        ("iter([])", "application/x-ndjson", b""),
        ("AMLResponse((c for c in 'ab'), 200)", "text/html; charset=utf-8", b"ab"),
        ("(bytes(300_000) for n in (1, 2))", "application/octet-stream", bytes(600_000)),
    ],
)
def test_stream_has_its_pieces(shared: ScoringProcess, expression: str, media_type: str, body: bytes) -> None:
    with shared.connection() as connection:
        for _ in range(2):  # the connection stays open
            response = request_on(connection, "POST", "/score", expression.encode())
            assert (response.status, response.body) == (200, body)
            assert response.headers["content-type"] == media_type


def test_generator_of_a_driver_with_hints_is_a_stream(serve) -> None:
    scoring = serve("def init(): ...\ndef run(n: int, word: str = 'a'):\n    yield from [word] * n\n")
    response = scoring.score(b'{"n": 3}', {"Content-Type": "application/json"})
    assert (response.body, response.headers["transfer-encoding"]) == (b"aaa", "chunked")
    refused = scoring.score(b'{"n": 1.5}', {"Content-Type": "application/json"})
    assert refused.status == 400


def test_stream_needs_a_key(serve, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "primaryKey").write_text("key")
    scoring = serve(DRIVER, MODELYARD_KEYS_DIR=str(keys))
    assert scoring.score(b"endless('a')").status == 401
    assert scoring.score(b"iter('ab')", {"Authorization": "Bearer key"}).body == b"ab"
    assert not closed(tmp_path)


def test_stream_that_fails_before_its_first_piece_is_an_ordinary_error(shared: ScoringProcess) -> None:
    response = shared.score(b"failing_at_once()")
    assert response.status == 500
    assert response.headers["x-ms-run-function-failed"] == "True"
    assert "a detail of the driver" in shared.log


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("failing()", "the driver raised"),
        ("exiting()", "the worker process ended"),
        ("AMLResponse(gated('a'), 200, {'Content-Length': '12'})", "its size is not its content-length"),
        ("AMLResponse(gated('a'), 200, {'Content-Length': '100'})", "its size is not its content-length"),
    ],
)
def test_client_sees_that_a_stream_is_incomplete(serve, gates: Gates, expression: str, reason: str) -> None:
    scoring = serve(DRIVER, MODELYARD_QUEUE_TIMEOUT_MS="60000")
    gates.open("a")
    with (
        scoring.connection() as connection,
        begin(connection, expression) as response,
        pytest.raises(http.client.IncompleteRead),
    ):
        response.read()
    until(lambda: reason in scoring.log, "the log of the failure")
    assert scoring.score(b"'next'").json() == "next"
    assert metric(scoring, 'modelyard_scoring_streams_total{end="failed"}') == 1
    assert metric(scoring, 'modelyard_scoring_requests_total{code="500"}') == 1


def test_failure_is_a_reset_where_the_end_of_the_connection_ends_the_body(shared: ScoringProcess) -> None:
    with (
        shared.connection() as connection,
        pytest.raises(ConnectionResetError),
        begin(connection, "failing()", "1.0") as response,
    ):
        response.read()


def test_stream_of_a_declared_length_is_not_chunked(shared: ScoringProcess) -> None:
    response = shared.score(b"AMLResponse((c for c in 'abc'), 200, {'Content-Length': '3'})")
    assert (response.headers["content-length"], response.body) == ("3", b"abc")
    assert "transfer-encoding" not in response.headers


def test_stream_with_an_invalid_header_is_an_error_of_the_driver(shared: ScoringProcess) -> None:
    response = shared.score(b"AMLResponse((c for c in 'abc'), 200, {'b d': '3'})")
    assert (response.status, response.headers["x-ms-run-function-failed"]) == (500, "True")
    assert shared.score(b"'next'").json() == "next"


def test_client_that_does_not_read_stops_the_driver(serve, tmp_path: Path) -> None:
    """The wait is no time of the driver: it is longer than the limit of a piece."""
    scoring = serve(DRIVER, SCORING_TIMEOUT_MS="300")
    with scoring.connection() as connection, begin(connection, "endless('a')") as response:
        size = size_at_pause(tmp_path)
        assert size < 16_000_000
        assert len(response.read(16_000_000)) == 16_000_000
        until(lambda: made(tmp_path) > size, "more pieces")
    until(lambda: closed(tmp_path), "GeneratorExit")


@pytest.mark.parametrize("expression", ["many('a')", "many_async('a')"])
def test_memory_for_a_long_stream_is_bounded(
    scoring: ScoringProcess, tmp_path: Path, expression: str
) -> None:
    """`make bench-scoring` sends 1 GiB, with the same growth."""
    pids = [scoring.process.pid, *worker_pids(scoring)]
    before = [peak_mib(pid) for pid in pids]
    size = 0
    with scoring.connection() as connection, begin(connection, expression) as response:
        size_at_pause(tmp_path)
        while piece := response.read(1_000_000):
            size += len(piece)

    assert size == 64_000_000
    growth = [peak_mib(pid) - peak for pid, peak in zip(pids, before, strict=True)]
    assert max(growth) < 16, growth


@pytest.mark.parametrize("expression", ["endless('a')", "AMLResponse(endless('a', 10), 200)"])
def test_generator_is_closed_when_its_client_leaves(
    scoring: ScoringProcess, tmp_path: Path, expression: str
) -> None:
    with scoring.connection() as connection, begin(connection, expression) as response:
        response.read(10)
    until(lambda: closed(tmp_path), "GeneratorExit")

    assert scoring.score(b"'next'").json() == "next"
    assert metric(scoring, 'modelyard_scoring_streams_total{end="left"}') == 1
    assert metric(scoring, 'modelyard_scoring_requests_total{code="499"}') == 1


def test_place_is_taken_until_the_stream_ends(serve, gates: Gates) -> None:
    scoring = serve(DRIVER, MODELYARD_QUEUE_TIMEOUT_MS="50")
    with scoring.connection() as connection:
        response = begin(connection, "gated('a')")
        gates.wait_begun("a")
        assert scoring.score(b"1").status == 503
        assert metric(scoring, "modelyard_scoring_running") == 1
        gates.open("a")
        response.read()
    assert scoring.score(b"1").status == 200
    assert metric(scoring, 'modelyard_scoring_streams_total{end="complete"}') == 1
    assert metric(scoring, "modelyard_scoring_streamed_bytes_total") == 22


def test_streams_of_several_threads_go_out_at_once(serve, gates: Gates) -> None:
    scoring = serve(DRIVER + "THREAD_SAFE = True\n", MODELYARD_MAX_CONCURRENT_REQUESTS="3")
    with scoring.connection() as first, scoring.connection() as second:
        responses = [begin(first, "gated('a')"), begin(second, "gated('b')")]
        gates.wait_begun("a")
        gates.wait_begun("b")
        assert scoring.score(b"'between'").json() == "between"
        for name in "ba":
            gates.open(name)
        assert [response.read() for response in responses] == [b"data: one\n\ndata: two\n\n"] * 2


def test_scoring_timeout_limits_each_piece(serve) -> None:
    scoring = serve(DRIVER, SCORING_TIMEOUT_MS="400")
    several = b"(time.sleep(0.1) or c for c in 'abcdefgh')"
    assert scoring.score(several).body == b"abcdefgh"

    with scoring.connection() as connection, pytest.raises(http.client.IncompleteRead):
        begin(connection, "slow('a')").read()

    assert "a piece took longer than SCORING_TIMEOUT_MS" in scoring.log
    assert scoring.score(b"(time.sleep(3600) or c for c in 'ab')").status in (500, 503)


def test_stream_is_complete_after_sigterm(serve, gates: Gates) -> None:
    scoring = serve(DRIVER)
    with scoring.connection() as connection:
        response = begin(connection, "gated('a')")
        gates.wait_begun("a")
        scoring.terminate()
        until(lambda: not scoring.is_listening(), "the port to close")
        gates.open("a")
        assert response.read() == b"data: one\n\ndata: two\n\n"
        assert connection.recv(1) == b""
    assert scoring.exit_code() == 0


def test_stream_that_outlasts_the_drain_time_is_cut_and_closed(serve, tmp_path: Path) -> None:
    scoring = serve(DRIVER, MODELYARD_DRAIN_SECONDS="2")
    with scoring.connection() as connection:
        response = begin(connection, "(time.sleep(0.01) or 'x' for _ in endless('a', 1))")
        scoring.terminate()
        with pytest.raises(http.client.IncompleteRead):
            response.read()
    assert scoring.exit_code() == 0
    assert closed(tmp_path)


def test_requests_that_a_client_pipelines_wait_for_the_stream(shared: ScoringProcess) -> None:
    with shared.connection() as connection:
        send_request(connection, "POST", "/score", b"(c for c in 'ab')")
        send_request(connection, "POST", "/score", b"'next'")
        # read_response() may read bytes of the second response, too, and drop them.
        received = b""
        while not received.endswith(b'"next"'):
            piece = connection.recv(4096)
            assert piece, received
            received += piece
    assert received.count(b"HTTP/1.1 200") == 2
    first, _, _ = received.rpartition(b"HTTP/1.1 200")
    assert first.endswith(b"0\r\n\r\n")
    chunks = first.partition(b"\r\n\r\n")[2]
    assert re.sub(rb"[0-9]*\r\n", b"", chunks) == b"ab"
