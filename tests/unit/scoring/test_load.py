"""What happens when there is too much: of requests, of body, of time."""

import contextlib
import socket
import struct
import threading

import pytest
from tests.unit.scoring.conftest import GATED_DRIVER, Gates
from tests.unit.scoring.running import (
    Answer,
    ScoringProcess,
    ask_on,
    metric,
    read_answer,
    send_request,
    until,
)

from modelyard.scoring.front.request_queue import MAX_WAITING

ECHO_LENGTH = "def init(): pass\ndef run(data): return len(data)\n"

MEGABYTE = 1024 * 1024


class Scoring(threading.Thread):
    """A request that waits for its answer elsewhere."""

    def __init__(self, scoring: ScoringProcess, name: str) -> None:
        super().__init__()
        self._scoring = scoring
        self._data = name.encode()
        self._answers: list[Answer] = []
        self.start()

    def run(self) -> None:
        self._answers.append(self._scoring.score(self._data))

    @property
    def answer(self) -> Answer:
        self.join()
        return self._answers[0]


def test_probes_answer_while_run_is_busy(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER)
    busy = Scoring(scoring, "one")
    gates.wait_begun("one")

    assert scoring.ask("GET", "/").status == 200
    assert scoring.ask("GET", "/ready").status == 200

    gates.open("one")
    assert busy.answer.json() == "scored one"


def test_as_many_run_at_once_as_may(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, MODELYARD_MAX_CONCURRENT_REQUESTS="2", MODELYARD_QUEUE_TIMEOUT_MS="60000")
    first, second = Scoring(scoring, "one"), Scoring(scoring, "two")
    gates.wait_begun("one")
    gates.wait_begun("two")
    third = Scoring(scoring, "three")
    scoring.ask("GET", "/")
    assert not gates.has_begun("three")

    gates.open("one")
    gates.wait_begun("three")
    gates.open("two")
    gates.open("three")

    assert [thread.answer.json() for thread in (first, second, third)] == [
        "scored one",
        "scored two",
        "scored three",
    ]


def test_overload_is_said_and_never_runs(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, MODELYARD_QUEUE_TIMEOUT_MS="100")
    busy = Scoring(scoring, "one")
    gates.wait_begun("one")

    answer = scoring.score(b"two")

    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.message == "Overloaded: no free place (of 1) within 100 ms. Try again later."
    gates.open("one")
    assert busy.answer.status == 200
    assert scoring.score(b"").status == 200
    assert not gates.has_begun("two")


def test_scoring_timeout(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, SCORING_TIMEOUT_MS="150", MODELYARD_QUEUE_TIMEOUT_MS="100")

    late = scoring.score(b"one")

    assert (late.status, late.message) == (500, "Scoring timeout after 150 ms")
    assert late.headers["x-ms-run-function-failed"] == "True"
    assert scoring.score(b"").status == 503, "the thread is still in run()"
    gates.open("one")
    assert until(lambda: scoring.score(b"").status == 200, "the thread to be free again")


@pytest.fixture(scope="module")
def small(serve_module, tmp_path_factory: pytest.TempPathFactory) -> ScoringProcess:
    """Bodies up to 8 MiB, and a key."""
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
def test_the_answer_reaches_a_client_that_sends_everything_first(
    small: ScoringProcess, key: str, length: int, status: int
) -> None:
    assert small.score(b"x" * length, {"Authorization": f"Bearer {key}"}).status == status


def test_the_answer_reaches_a_client_that_sends_chunks(small: ScoringProcess) -> None:
    with small.connection() as connection:
        start_request(connection, "Authorization: Bearer key", "Transfer-Encoding: chunked")
        for _ in range(24):
            connection.sendall(b"%x\r\n%s\r\n" % (MEGABYTE, b"x" * MEGABYTE))
        connection.sendall(b"0\r\n\r\n")

        answer = read_answer(connection)

    assert answer.status == 413
    assert answer.message == f"The body is larger than {8 * MEGABYTE} bytes."


def connections_for_a_full_queue(scoring: ScoringProcess, stack: contextlib.ExitStack) -> list[socket.socket]:
    return [stack.enter_context(scoring.connection()) for _ in range(MAX_WAITING + 50)]


def test_the_answer_comes_before_the_body_has_ended(small: ScoringProcess) -> None:
    with small.connection() as connection:
        start_request(connection, "Authorization: Bearer key", f"Content-Length: {100 * MEGABYTE}")
        connection.sendall(b"x" * 1000)

        answer = read_answer(connection)

    assert answer.status == 413
    assert answer.headers["connection"] == "close"


def test_who_waits_for_100_continue_is_refused_without_it(small: ScoringProcess) -> None:
    with small.connection() as connection:
        start_request(connection, "Content-Length: 1000", "Expect: 100-continue")
        answer = read_answer(connection)
    assert answer.status == 401

    with small.connection() as connection:
        start_request(connection, "Authorization: Bearer key", "Content-Length: 3", "Expect: 100-continue")
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"abc")
        assert read_answer(connection).json() == 3


def test_the_503_reaches_a_client_that_is_still_sending(serve) -> None:
    driver = "import time\ndef init():\n    time.sleep(3600)\ndef run(data): return data\n"
    scoring = serve(driver, wait_ready=False)
    until(scoring.is_listening, "the port")
    with scoring.connection() as connection:
        start_request(connection, f"Content-Length: {16 * MEGABYTE}")
        for _ in range(16):
            connection.sendall(b"x" * MEGABYTE)

        answer = read_answer(connection)

    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


def test_the_answer_to_overload_reaches_a_client_that_is_still_sending(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, MODELYARD_QUEUE_TIMEOUT_MS="60000")
    busy = Scoring(scoring, "one")
    gates.wait_begun("one")
    with contextlib.ExitStack() as stack:
        for connection in connections_for_a_full_queue(scoring, stack):
            send_request(connection, "POST", "/score", b"")
        refused = stack.enter_context(scoring.connection())
        start_request(refused, f"Content-Length: {16 * MEGABYTE}")
        for _ in range(16):
            refused.sendall(b"x" * MEGABYTE)

        answer = read_answer(refused)

    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.message.startswith("Overloaded: no free place (of 1)")
    assert answer.headers["connection"] == "close"
    gates.open("one")
    assert busy.answer.status == 200


def test_memory_for_bodies_that_is_used_up_is_said_to_a_client_that_is_still_sending(serve) -> None:
    limits = {
        "MODELYARD_MAX_BODY_BYTES": str(20 * MEGABYTE),
        "MODELYARD_MAX_HELD_BYTES": str(20 * MEGABYTE),
    }
    scoring = serve(ECHO_LENGTH, **limits)
    with scoring.connection() as holding, scoring.connection() as refused:
        start_request(holding, f"Content-Length: {10 * MEGABYTE}")
        scoring.ask("GET", "/")
        start_request(refused, f"Content-Length: {16 * MEGABYTE}")
        for _ in range(16):
            refused.sendall(b"x" * MEGABYTE)

        answer = read_answer(refused)

    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.message.startswith(f"Overloaded: request bodies hold {10 * MEGABYTE} bytes already.")


def reset(connection: socket.socket) -> None:
    """Leaves as a client does that closes with something unread, or is cut off."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_a_request_whose_client_has_left_is_not_begun(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, MODELYARD_QUEUE_TIMEOUT_MS="60000", MODELYARD_ACCESS_LOG="true")
    busy = Scoring(scoring, "one")
    gates.wait_begun("one")
    next_in_turn = Scoring(scoring, "")  # it is at the worker already
    until(lambda: metric(scoring, "modelyard_scoring_waiting") == 1, "the next in turn")
    with scoring.connection() as leaving:
        send_request(leaving, "POST", "/score", b"gone")
        until(lambda: metric(scoring, "modelyard_scoring_waiting") == 2, "the one to leave")
        reset(leaving)
    until(lambda: metric(scoring, 'modelyard_scoring_requests_total{code="499"}') == 1, "its count")
    gates.open("one")

    assert (busy.answer.status, next_in_turn.answer.status, scoring.score(b"").status) == (200, 200, 200)
    assert not gates.has_begun("gone")
    assert [line["bytesOut"] for line in scoring.log_lines() if line.get("status") == 499] == [0]


def test_a_run_whose_client_has_left_runs_on(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, MODELYARD_QUEUE_TIMEOUT_MS="60000")
    with scoring.connection() as leaving:
        send_request(leaving, "POST", "/score", b"one")
        gates.wait_begun("one")
        reset(leaving)
    until(lambda: metric(scoring, 'modelyard_scoring_requests_total{code="499"}') == 1, "its count")
    following = Scoring(scoring, "")
    until(lambda: metric(scoring, "modelyard_scoring_waiting") == 1, "the next")
    gates.open("one")

    assert following.answer.status == 200
    assert metric(scoring, 'modelyard_scoring_requests_total{code="200"}') == 1


def test_a_client_that_closes_without_a_reset_may_still_read(serve, gates: Gates) -> None:
    """On the wire its end is a half-closed connection: it is scored, and counted as if it were read."""
    scoring = serve(GATED_DRIVER)
    with scoring.connection() as leaving:
        send_request(leaving, "POST", "/score", b"one")
        gates.wait_begun("one")
    gates.open("one")

    until(lambda: metric(scoring, 'modelyard_scoring_requests_total{code="200"}') == 1, "its count")
    assert metric(scoring, 'modelyard_scoring_requests_total{code="499"}') == 0


def test_a_client_that_leaves_disturbs_nobody(small: ScoringProcess) -> None:
    with small.connection() as connection:
        start_request(connection, "Authorization: Bearer key", "Content-Length: 1000")
        connection.sendall(b"half")
    with small.connection() as connection:
        send_request(connection, "POST", "/score", b"x", {"Authorization": "Bearer key"})

    with small.connection() as connection:
        assert ask_on(connection, "POST", "/score", b"abc", {"Authorization": "Bearer key"}).json() == 3
    assert '"error"' not in small.log


def test_who_finds_the_queue_full_is_read_from_again_when_there_is_room(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, MODELYARD_QUEUE_TIMEOUT_MS="60000", MODELYARD_MAX_HELD_BYTES="104857600")
    busy = Scoring(scoring, "one")
    gates.wait_begun("one")
    with contextlib.ExitStack() as stack:
        waiting = connections_for_a_full_queue(scoring, stack)
        for connection in waiting:
            send_request(connection, "POST", "/score", b"")
        refused = waiting[-1]
        assert read_answer(refused).status == 503
        send_request(refused, "POST", "/score", b"")
        gates.open("one")

        assert read_answer(refused).json() == "scored "
    assert busy.answer.status == 200


def test_who_would_wait_in_vain_is_refused_at_once(serve) -> None:
    """250 are served within the wait at most, fewer where the machine is slow."""
    driver = "import time\ndef init(): pass\ndef run(data):\n    time.sleep(0.02)\n    return 1\n"
    scoring = serve(driver, MODELYARD_QUEUE_TIMEOUT_MS="5000")
    for _ in range(30):  # until the mean of its runs is known
        assert scoring.score(b"").status == 200
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(scoring.connection()) for _ in range(450)]
        for connection in waiting:
            send_request(connection, "POST", "/score", b"")
        assert read_answer(waiting[-1]).status == 503
        served = waiting[100]
        served.setblocking(False)
        with pytest.raises(BlockingIOError):  # its turn is still to come
            served.recv(1)
        served.settimeout(30)
        assert read_answer(served).status == 200
