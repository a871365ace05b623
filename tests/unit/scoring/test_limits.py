"""Slow, large and broken input on the wire."""

import contextlib
import select

import pytest
from tests.unit.scoring.running import ScoringProcess, read_answer, until

from modelyard.scoring.front import http_limits as limits
from modelyard.scoring.front.http_connection import HttpConnection
from modelyard.scoring.front.messages import HttpRequest, HttpResponse, text_response

ECHO = "def init(): pass\ndef run(data): return data\n"


@pytest.fixture(scope="module")
def server(serve_module) -> ScoringProcess:
    return serve_module(ECHO, {"MODELYARD_MAX_BODY_BYTES": "100000", "MODELYARD_MAX_HELD_BYTES": "100000"})


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
        (b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400),
        (b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx", 400),
        (b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /score HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nx: " + b"y" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"y" * 70_000, 431),
    ],
)
def test_what_is_no_request_gets_an_answer(server: ScoringProcess, sent: bytes, status: int) -> None:
    with server.connection() as connection:
        connection.sendall(sent)
        answer = read_answer(connection)
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert connection.recv(1) == b""
    assert server.score(b"next").json() == "next"


def test_http_1_0_with_and_without_keep_alive(server: ScoringProcess) -> None:
    with server.connection() as connection:
        connection.sendall(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert read_answer(connection).headers["connection"] == "keep-alive"
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_answer(connection).headers["connection"] == "close"
        assert connection.recv(1) == b""


def test_a_client_that_closes_its_side_gets_its_answer(server: ScoringProcess) -> None:
    with server.connection() as connection:
        connection.sendall(b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
        connection.shutdown(1)
        assert read_answer(connection).json() == "x"


def test_thousands_of_pipelined_requests(server: ScoringProcess) -> None:
    with server.connection() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 5000)
        received = b""
        while received.count(b"Healthy") < 5000:
            received += connection.recv(1_000_000)


def test_bodies_together_are_bounded(server: ScoringProcess) -> None:
    """And the memory is given back."""
    for _ in range(3):
        with server.connection() as first:
            first.sendall(b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n" + b"x" * 1000)
            server.ask("GET", "/")
            refused = server.score(b"x" * 20_000)
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            words = "Overloaded: request bodies hold 90000 bytes already. Try again later."
            assert refused.message == words
            first.sendall(b"x" * 89_000)
            assert read_answer(first).status == 200
    assert server.score(b"x" * 100_000).status == 200


def test_clients_that_drip_their_headers_are_sent_away_and_hold_up_nobody(server: ScoringProcess) -> None:
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

        until(all_are_answered, "their answers")
        for connection in slow:
            assert read_answer(connection).status == 408
            assert connection.recv(1) == b""


def test_chunks_count_too(server: ScoringProcess) -> None:
    with server.connection() as connection:
        head = b"POST /score HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head + b"186a1\r\n" + b"x" * 100_001 + b"\r\n0\r\n\r\n")
        assert read_answer(connection).status == 413


class StillSite:
    """A site with a clock in the test's hand."""

    draining = False
    date_line = b""
    max_body_bytes = 1000

    def __init__(self) -> None:
        self.now = 0.0
        self.connections: set[HttpConnection] = set()

    def admit(self, request: HttpRequest) -> HttpResponse | None:
        return None

    def dispatch(self, request: HttpRequest) -> None:
        request.connection.respond(request, text_response(200, "ok"))

    def reserve_body(self, request: HttpRequest, more_bytes: int) -> HttpResponse | None:
        return None

    def abandon(self, request: HttpRequest) -> None:
        pass

    def release(self, request: HttpRequest) -> None:
        pass


class Wire:
    """A transport that keeps what was written."""

    def __init__(self) -> None:
        self.written = b""
        self.unsent = 0
        self.end = ""

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.end = "eof"

    def close(self) -> None:
        self.end = "closed"

    def abort(self) -> None:
        self.end = "aborted"


@pytest.fixture
def wired() -> tuple[StillSite, Wire, HttpConnection]:
    site, wire = StillSite(), Wire()
    connection = HttpConnection(site)
    connection.connection_made(wire)  # type: ignore[arg-type]
    return site, wire, connection


def after(wired: tuple[StillSite, Wire, HttpConnection], seconds: float) -> None:
    site, _, connection = wired
    site.now += seconds
    connection.check_time_limits(site.now)


HEAD = b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n"


def test_slow_headers(wired) -> None:
    wired[2].data_received(HEAD)
    after(wired, limits.HEAD_SECONDS)
    assert wired[1].written == b""
    wired[2].data_received(b"x: y\r\n")
    after(wired, 1)
    assert wired[1].written.startswith(b"HTTP/1.1 408 ")


def test_a_paused_body(wired) -> None:
    wired[2].data_received(HEAD + b"\r\n" + b"x" * 99_000)
    after(wired, limits.BODY_PAUSE_SECONDS)
    assert wired[1].written == b""
    after(wired, 1)
    assert wired[1].written.startswith(b"HTTP/1.1 408 ")


def test_a_body_that_drips(wired) -> None:
    wired[2].data_received(HEAD + b"\r\n")
    for _ in range(3):
        after(wired, limits.BODY_PAUSE_SECONDS / 2)
        wired[2].data_received(b"x")
    after(wired, 1)
    assert wired[1].written.startswith(b"HTTP/1.1 408 ")


def test_an_idle_connection_ends(wired) -> None:
    wired[2].data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    after(wired, limits.KEEP_ALIVE_SECONDS)
    assert wired[1].end == ""
    after(wired, 1)
    assert wired[1].end == "eof"
    after(wired, limits.CLOSING_SECONDS + 1)
    assert wired[1].end == "closed"


def test_an_answer_that_nobody_reads(wired) -> None:
    wired[1].unsent = 1000
    after(wired, 0)
    after(wired, limits.UNREAD_SECONDS + 1)
    assert wired[1].end == "aborted"
