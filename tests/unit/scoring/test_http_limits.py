"""Slow, large and malformed input from a socket."""

import contextlib
import select

import pytest
from tests.unit.scoring.scoring_process import ScoringProcess, read_response, until

ECHO = "def init(): pass\ndef run(data): return data\n"


@pytest.fixture(scope="module")
def server(serve_module) -> ScoringProcess:
    return serve_module(ECHO, {"MODELYARD_MAX_BODY_BYTES": "100000", "MODELYARD_MAX_HELD_BYTES": "100000"})


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", 400),
        (b"POST /score HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x: y\r\n" * 300 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"x%d:\r\n" % n for n in range(300)), 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
        (b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400),
        (b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx", 400),
        (b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /score HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nx: " + b"y" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"y" * 70_000, 431),
    ],
)
def test_malformed_input_gets_an_error_response(server: ScoringProcess, sent: bytes, status: int) -> None:
    with server.connection() as connection:
        connection.sendall(sent)
        response = read_response(connection)
        assert (response.status, response.headers["connection"]) == (status, "close")
        assert connection.recv(1) == b""
    assert server.score(b"next").json() == "next"


def test_http_1_0_with_and_without_keep_alive(server: ScoringProcess) -> None:
    with server.connection() as connection:
        connection.sendall(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert read_response(connection).headers["connection"] == "keep-alive"
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_response(connection).headers["connection"] == "close"
        assert connection.recv(1) == b""


def test_client_that_closes_its_sending_side_gets_a_response(server: ScoringProcess) -> None:
    with server.connection() as connection:
        connection.sendall(b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
        connection.shutdown(1)
        assert read_response(connection).json() == "x"


def test_thousands_of_pipelined_requests_are_answered(server: ScoringProcess) -> None:
    with server.connection() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 5000)
        received = b""
        while received.count(b"Healthy") < 5000:
            received += connection.recv(1_000_000)


def test_memory_for_bodies_is_bounded_and_freed(server: ScoringProcess) -> None:
    for _ in range(3):
        with server.connection() as first:
            first.sendall(b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n" + b"x" * 89_000)
            server.request("GET", "/")
            refused = server.score(b"x" * 20_000)
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            words = "Overloaded: request bodies hold 89000 bytes already. Try again later."
            assert refused.message == words
            first.sendall(b"x" * 1000)
            assert read_response(first).status == 200
    assert server.score(b"x" * 100_000).status == 200


@pytest.mark.parametrize("path", ["GET /ready", "HEAD /", "GET /metrics", "GET /swagger.json", "GET /score"])
def test_declared_bodies_of_other_routes_hold_no_memory(server: ScoringProcess, path: str) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            connection = stack.enter_context(server.connection())
            head = f"{path} HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n"
            connection.sendall(head.encode() + b"x" * 59_000)
        server.request("GET", "/")
        assert server.score(b"x" * 100_000).status == 200


def test_declared_bodies_of_scoring_requests_hold_no_memory(server: ScoringProcess) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            connection = stack.enter_context(server.connection())
            connection.sendall(b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\nx")
        server.request("GET", "/")
        assert server.score(b"x" * 90_000).status == 200


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 70000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n11170\r\n"]
)
def test_large_body_of_another_route_gets_413(server: ScoringProcess, framing: bytes) -> None:
    with server.connection() as connection:
        connection.sendall(b"GET /ready HTTP/1.1\r\nHost: a\r\n" + framing + b"x" * 70_000)
        assert read_response(connection).status == 413


def test_clients_with_slow_headers_get_408_and_do_not_delay_others(server: ScoringProcess) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(server.connection()) for _ in range(50)]
        for connection in slow:
            connection.sendall(b"POST /score HTTP/1.1\r\nHost: a\r\nx: ")

        def all_are_answered() -> bool:
            answered = select.select(slow, [], [], 0)[0]
            for connection in set(slow) - set(answered):
                connection.sendall(b"y")
            assert server.score(b"next").status == 200
            return len(answered) == len(slow)

        until(all_are_answered, "408 responses")
        for connection in slow:
            assert read_response(connection).status == 408
            assert connection.recv(1) == b""


def test_too_large_chunked_body_gets_413(server: ScoringProcess) -> None:
    with server.connection() as connection:
        head = b"POST /score HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head + b"186a1\r\n" + b"x" * 100_001 + b"\r\n0\r\n\r\n")
        assert read_response(connection).status == 413


@pytest.mark.parametrize("target", ["http://a/score", "HTTP://a:80/score", "/%73core", "//score"])
def test_path_of_a_request_target_counts_in_any_spelling(server: ScoringProcess, target: str) -> None:
    assert server.request("POST", target, b"next").json() == "next"


def test_absolute_request_target_of_another_path_gets_404(server: ScoringProcess) -> None:
    assert server.request("POST", "http://score/other", b"next").status == 404


def test_absolute_request_target_without_a_path_is_the_root(server: ScoringProcess) -> None:
    assert server.request("GET", "http://a").body == b"Healthy"
