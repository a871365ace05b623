"""Too many requests, too large bodies, too long runs, and clients that leave."""

import contextlib
import socket
import struct
import threading

import pytest
from tests.unit.scoring.conftest import GATED_DRIVER, Gates
from tests.unit.scoring.scoring_process import (
    Response,
    ScoringProcess,
    metric,
    read_response,
    request_on,
    send_request,
    until,
)

from modelyard.scoring.front.request_queue import MAX_WAITING

ECHO_LENGTH = "def init(): pass\ndef run(data): return len(data)\n"

MEGABYTE = 1024 * 1024


class BackgroundRequest(threading.Thread):
    """A request that waits for its response in a thread."""

    def __init__(self, scoring: ScoringProcess, name: str) -> None:
        super().__init__()
        self._scoring = scoring
        self._data = name.encode()
        self._answers: list[Response] = []
        self.start()

    def run(self) -> None:
        self._answers.append(self._scoring.score(self._data))

    @property
    def response(self) -> Response:
        self.join()
        return self._answers[0]


def test_probes_answer_while_run_is_busy(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER)
    busy = BackgroundRequest(scoring, "one")
    gates.wait_begun("one")

    assert scoring.request("GET", "/").status == 200
    assert scoring.request("GET", "/ready").status == 200

    gates.open("one")
    assert busy.response.json() == "scored one"


def test_concurrent_runs_are_limited(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, MODELYARD_MAX_CONCURRENT_REQUESTS="2", MODELYARD_QUEUE_TIMEOUT_MS="60000")
    first, second = BackgroundRequest(scoring, "one"), BackgroundRequest(scoring, "two")
    gates.wait_begun("one")
    gates.wait_begun("two")
    third = BackgroundRequest(scoring, "three")
    scoring.request("GET", "/")
    assert not gates.has_begun("three")

    gates.open("one")
    gates.wait_begun("three")
    gates.open("two")
    gates.open("three")

    assert [thread.response.json() for thread in (first, second, third)] == [
        "scored one",
        "scored two",
        "scored three",
    ]


def test_request_beyond_the_queue_timeout_gets_503_and_never_runs(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, MODELYARD_QUEUE_TIMEOUT_MS="100")
    busy = BackgroundRequest(scoring, "one")
    gates.wait_begun("one")

    response = scoring.score(b"two")

    assert response.status == 503
    assert response.headers["retry-after"] == "1"
    assert response.message == "Overloaded: no place (of 1) began the request within 100 ms. Try again later."
    gates.open("one")
    assert busy.response.status == 200
    assert scoring.score(b"").status == 200
    assert not gates.has_begun("two")


def test_run_beyond_the_scoring_timeout_gets_500(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, SCORING_TIMEOUT_MS="150", MODELYARD_QUEUE_TIMEOUT_MS="100")

    late = scoring.score(b"one")

    assert (late.status, late.message) == (500, "Scoring timeout after 150 ms")
    assert late.headers["x-ms-run-function-failed"] == "True"
    assert scoring.score(b"").status == 503, "the thread is still in run()"
    gates.open("one")
    assert until(lambda: scoring.score(b"").status == 200, "the thread to be free again")


@pytest.fixture(scope="module")
def small(serve_module, tmp_path_factory: pytest.TempPathFactory) -> ScoringProcess:
    """Return a server with a key that accepts bodies up to 8 MiB."""
    keys = tmp_path_factory.mktemp("keys")
    (keys / "primaryKey").write_text("key")
    limits = {"MODELYARD_MAX_BODY_BYTES": str(8 * MEGABYTE), "MODELYARD_KEYS_DIR": str(keys)}
    return serve_module(ECHO_LENGTH, limits)


def start_request(connection: socket.socket, *headers: str) -> None:
    lines = ["POST /score HTTP/1.1", "Host: test", *headers, "", ""]
    connection.sendall("\r\n".join(lines).encode())


@pytest.mark.parametrize(
    ("key", "length", "status"),
    [
        ("key", 8 * MEGABYTE, 200),
        ("key", 24 * MEGABYTE, 413),
        ("none", 4 * MEGABYTE, 401),
        ("none", 20_000, 401),
    ],
)
def test_response_reaches_a_client_that_sends_everything_first(
    small: ScoringProcess, key: str, length: int, status: int
) -> None:
    assert small.score(b"x" * length, {"Authorization": f"Bearer {key}"}).status == status


def test_413_reaches_a_client_that_sends_chunks(small: ScoringProcess) -> None:
    with small.connection() as connection:
        start_request(connection, "Authorization: Bearer key", "Transfer-Encoding: chunked")
        for _ in range(24):
            connection.sendall(b"%x\r\n%s\r\n" % (MEGABYTE, b"x" * MEGABYTE))
        connection.sendall(b"0\r\n\r\n")

        response = read_response(connection)

    assert response.status == 413
    assert response.message == f"The body is larger than {8 * MEGABYTE} bytes."


def connections_for_a_full_queue(scoring: ScoringProcess, stack: contextlib.ExitStack) -> list[socket.socket]:
    return [stack.enter_context(scoring.connection()) for _ in range(MAX_WAITING + 50)]


def test_413_precedes_the_end_of_the_body(small: ScoringProcess) -> None:
    with small.connection() as connection:
        start_request(connection, "Authorization: Bearer key", f"Content-Length: {100 * MEGABYTE}")
        connection.sendall(b"x" * 1000)

        response = read_response(connection)

    assert response.status == 413
    assert response.headers["connection"] == "close"


def test_refused_client_gets_no_100_continue(small: ScoringProcess) -> None:
    with small.connection() as connection:
        start_request(connection, "Content-Length: 1000", "Expect: 100-continue")
        response = read_response(connection)
    assert response.status == 401

    with small.connection() as connection:
        start_request(connection, "Authorization: Bearer key", "Content-Length: 3", "Expect: 100-continue")
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"abc")
        assert read_response(connection).json() == 3


def test_503_during_init_reaches_a_client_that_is_still_sending(serve) -> None:
    driver = "import time\ndef init():\n    time.sleep(3600)\ndef run(data): return data\n"
    scoring = serve(driver, wait_ready=False)
    until(scoring.is_listening, "the port")
    with scoring.connection() as connection:
        start_request(connection, f"Content-Length: {16 * MEGABYTE}")
        for _ in range(16):
            connection.sendall(b"x" * MEGABYTE)

        response = read_response(connection)

    assert (response.status, response.headers["retry-after"]) == (503, "1")


def test_503_of_a_full_queue_reaches_a_client_that_is_still_sending(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, MODELYARD_QUEUE_TIMEOUT_MS="60000")
    busy = BackgroundRequest(scoring, "one")
    gates.wait_begun("one")
    with contextlib.ExitStack() as stack:
        for connection in connections_for_a_full_queue(scoring, stack):
            send_request(connection, "POST", "/score", b"")
        refused = stack.enter_context(scoring.connection())
        start_request(refused, f"Content-Length: {16 * MEGABYTE}")
        for _ in range(16):
            refused.sendall(b"x" * MEGABYTE)

        response = read_response(refused)

    assert (response.status, response.headers["retry-after"]) == (503, "1")
    assert response.message.startswith("Overloaded: no place (of 1) began")
    assert response.headers["connection"] == "close"
    gates.open("one")
    assert busy.response.status == 200


def test_503_of_exhausted_body_memory_reaches_a_client_that_is_still_sending(serve) -> None:
    limits = {
        "MODELYARD_MAX_BODY_BYTES": str(20 * MEGABYTE),
        "MODELYARD_MAX_HELD_BYTES": str(20 * MEGABYTE),
    }
    scoring = serve(ECHO_LENGTH, **limits)
    with scoring.connection() as holding, scoring.connection() as refused:
        start_request(holding, f"Content-Length: {10 * MEGABYTE + 1}")
        holding.sendall(b"x" * 10 * MEGABYTE)
        for _ in range(60):  # the server reads 256 KiB at a time
            scoring.request("GET", "/")
        start_request(refused, f"Content-Length: {16 * MEGABYTE}")
        for _ in range(16):
            refused.sendall(b"x" * MEGABYTE)

        response = read_response(refused)

    assert (response.status, response.headers["retry-after"]) == (503, "1")
    assert response.message.startswith(f"Overloaded: request bodies hold {10 * MEGABYTE} bytes already.")


def reset(connection: socket.socket) -> None:
    """Reset the connection, as a client does that closes with unread input."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_request_of_a_client_that_left_is_not_begun(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, MODELYARD_QUEUE_TIMEOUT_MS="60000", MODELYARD_ACCESS_LOG="true")
    busy = BackgroundRequest(scoring, "one")
    gates.wait_begun("one")
    next_in_turn = BackgroundRequest(scoring, "")  # at the worker, ahead of its turn
    until(lambda: metric(scoring, "modelyard_scoring_waiting") == 1, "the request ahead of its turn")
    with scoring.connection() as leaving:
        send_request(leaving, "POST", "/score", b"gone")
        until(
            lambda: metric(scoring, "modelyard_scoring_waiting") == 2, "the request of the client that leaves"
        )
        reset(leaving)
    until(
        lambda: metric(scoring, 'modelyard_scoring_requests_total{code="499"}') == 1,
        "the count of the request",
    )
    gates.open("one")

    assert (busy.response.status, next_in_turn.response.status, scoring.score(b"").status) == (200, 200, 200)
    assert not gates.has_begun("gone")
    assert [line["bytesOut"] for line in scoring.log_lines() if line.get("status") == 499] == [0]


def test_run_of_a_client_that_left_continues(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, MODELYARD_QUEUE_TIMEOUT_MS="60000")
    with scoring.connection() as leaving:
        send_request(leaving, "POST", "/score", b"one")
        gates.wait_begun("one")
        reset(leaving)
    until(
        lambda: metric(scoring, 'modelyard_scoring_requests_total{code="499"}') == 1,
        "the count of the request",
    )
    following = BackgroundRequest(scoring, "")
    until(lambda: metric(scoring, "modelyard_scoring_waiting") == 1, "the next request")
    gates.open("one")

    assert following.response.status == 200
    assert metric(scoring, 'modelyard_scoring_requests_total{code="200"}') == 1


def test_request_of_a_half_closed_connection_is_scored_and_counted(serve, gates: Gates) -> None:
    """The server cannot tell the client from one that has closed its sending side and still reads."""
    scoring = serve(GATED_DRIVER)
    with scoring.connection() as leaving:
        send_request(leaving, "POST", "/score", b"one")
        gates.wait_begun("one")
    gates.open("one")

    until(
        lambda: metric(scoring, 'modelyard_scoring_requests_total{code="200"}') == 1,
        "the count of the request",
    )
    assert metric(scoring, 'modelyard_scoring_requests_total{code="499"}') == 0


def test_client_that_leaves_does_not_disturb_others(small: ScoringProcess) -> None:
    with small.connection() as connection:
        start_request(connection, "Authorization: Bearer key", "Content-Length: 1000")
        connection.sendall(b"half")
    with small.connection() as connection:
        send_request(connection, "POST", "/score", b"x", {"Authorization": "Bearer key"})

    with small.connection() as connection:
        assert request_on(connection, "POST", "/score", b"abc", {"Authorization": "Bearer key"}).json() == 3
    assert '"error"' not in small.log


def test_throttled_connection_is_read_again_when_the_queue_has_room(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, MODELYARD_QUEUE_TIMEOUT_MS="60000", MODELYARD_MAX_HELD_BYTES="104857600")
    busy = BackgroundRequest(scoring, "one")
    gates.wait_begun("one")
    with contextlib.ExitStack() as stack:
        waiting = connections_for_a_full_queue(scoring, stack)
        for connection in waiting:
            send_request(connection, "POST", "/score", b"")
        refused = waiting[-1]
        assert read_response(refused).status == 503
        send_request(refused, "POST", "/score", b"")
        gates.open("one")

        assert read_response(refused).json() == "scored "
    assert busy.response.status == 200


def test_request_that_would_time_out_in_the_queue_gets_503_at_once(serve) -> None:
    """The server can serve at most 250 requests within the queue timeout, fewer on a slow machine."""
    driver = "import time\ndef init(): pass\ndef run(data):\n    time.sleep(0.02)\n    return 1\n"
    scoring = serve(driver, MODELYARD_QUEUE_TIMEOUT_MS="5000")
    for _ in range(30):  # until the mean of run() times is known
        assert scoring.score(b"").status == 200
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(scoring.connection()) for _ in range(450)]
        for connection in waiting:
            send_request(connection, "POST", "/score", b"")
        assert read_response(waiting[-1]).status == 503
        served = waiting[100]
        served.setblocking(False)
        with pytest.raises(BlockingIOError):  # its response is still to come
            served.recv(1)
        served.settimeout(30)
        assert read_response(served).status == 200
