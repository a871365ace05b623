"""The states and the flow control of one connection, without a socket."""

import asyncio
import gc
import math
import re
import weakref

import pytest

from modelyard.scoring.front import http_limits as limits
from modelyard.scoring.front import http_server
from modelyard.scoring.front.http_connection import HttpConnection
from modelyard.scoring.front.http_parser import RequestParser
from modelyard.scoring.front.http_server import HttpServer
from modelyard.scoring.front.messages import HttpRequest, HttpResponse, error_response, text_response


class FakeApplication(HttpServer):
    """An application whose clock stands still, and which answers requests when the test says so."""

    draining = False

    def __init__(self, max_unsent_bytes: float = math.inf) -> None:
        super().__init__(max_connections=3, max_body_bytes=1000, max_unsent_bytes=max_unsent_bytes)
        self.now = 0.0
        self.date_line = b""
        self.answers_at_once = True
        self.refusal: HttpResponse | None = None
        self.dispatched: list[HttpRequest] = []
        self.throttled: list[HttpConnection] = []
        self.released = 0

    def admit(self, request: HttpRequest) -> HttpResponse | None:
        return self.refusal

    def dispatch(self, request: HttpRequest) -> None:
        self.dispatched.append(request)
        if self.answers_at_once:
            request.connection.respond(request, text_response(200, "ok"))

    def reserve_body(self, request: HttpRequest, more_bytes: int) -> HttpResponse | None:
        return None

    def abandon(self, request: HttpRequest) -> None:
        pass

    def release(self, request: HttpRequest) -> None:
        self.released += 1

    def throttle(self, connection: HttpConnection) -> None:
        self.throttled.append(connection)


class FakeTransport:
    """A transport that records all that is written, and whether it reads."""

    def __init__(self) -> None:
        self.written = b""
        self.unsent = 0
        self.end = ""
        self.reads = True

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

    def is_closing(self) -> bool:
        return self.end in ("closed", "aborted")

    def pause_reading(self) -> None:
        assert self.reads
        self.reads = False

    def resume_reading(self) -> None:
        assert not self.reads
        self.reads = True

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", self.written)]


Wired = tuple[FakeApplication, FakeTransport, HttpConnection]


@pytest.fixture
def wired() -> Wired:
    application, transport = FakeApplication(), FakeTransport()
    connection = HttpConnection(application)
    connection.connection_made(transport)  # type: ignore[arg-type]
    return application, transport, connection


def after(wired: Wired, seconds: float) -> None:
    application, _, connection = wired
    application.now += seconds
    connection.check_time_limits(application.now)


GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n"


def test_slow_headers_get_408(wired: Wired) -> None:
    wired[2].data_received(HEAD)
    after(wired, limits.HEAD_SECONDS)
    assert wired[1].written == b""
    wired[2].data_received(b"x: y\r\n")
    after(wired, 1)
    assert wired[1].written.startswith(b"HTTP/1.1 408 ")


def test_paused_body_gets_408(wired: Wired) -> None:
    wired[2].data_received(HEAD + b"\r\n" + b"x" * 99_000)
    after(wired, limits.BODY_PAUSE_SECONDS)
    assert wired[1].written == b""
    after(wired, 1)
    assert wired[1].written.startswith(b"HTTP/1.1 408 ")


def test_slow_body_gets_408(wired: Wired) -> None:
    wired[2].data_received(HEAD + b"\r\n")
    for _ in range(3):
        after(wired, limits.BODY_PAUSE_SECONDS / 2)
        wired[2].data_received(b"x")
    after(wired, 1)
    assert wired[1].written.startswith(b"HTTP/1.1 408 ")


def test_idle_connection_is_closed(wired: Wired) -> None:
    wired[2].data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    after(wired, limits.KEEP_ALIVE_SECONDS)
    assert wired[1].end == ""
    after(wired, 1)
    assert wired[1].end == "eof"
    after(wired, limits.CLOSING_SECONDS + 1)
    assert wired[1].end == "closed"


def test_connection_with_an_unread_response_is_aborted(wired: Wired) -> None:
    wired[1].unsent = 1000
    after(wired, 0)
    after(wired, limits.UNREAD_SECONDS + 1)
    assert wired[1].end == "aborted"


def test_too_many_pipelined_requests_pause_reading_until_some_are_answered(wired: Wired) -> None:
    application, transport, connection = wired
    application.answers_at_once = False
    connection.data_received(GET * (limits.PIPELINED_REQUESTS + 1))
    assert (transport.reads, len(application.dispatched)) == (False, 1)

    connection.respond(application.dispatched[0], text_response(200, "ok"))

    assert (transport.reads, len(application.dispatched)) == (True, 2)


def test_response_that_throttles_pauses_reading_until_the_application_resumes(wired: Wired) -> None:
    application, transport, connection = wired
    application.refusal = HttpResponse(503, b"", throttles=True)
    connection.data_received(GET)
    assert (transport.reads, transport.statuses, application.throttled) == (False, [503], [connection])

    connection.resume_reading()

    assert transport.reads
    connection.resume_reading()  # has no effect on a connection that is not throttled


def test_malformed_input_is_refused_after_earlier_responses_and_ends_the_connection(wired: Wired) -> None:
    application, transport, connection = wired
    application.answers_at_once = False
    connection.data_received(GET + b"\x16\x03\x01")
    connection.data_received(GET)
    assert (transport.written, transport.reads) == (b"", False)

    connection.respond(application.dispatched[0], text_response(200, "ok"))

    assert (transport.statuses, transport.end, transport.reads) == ([200, 400], "eof", True)
    assert application.released == 2


def test_malformed_first_input_gets_400(wired: Wired) -> None:
    _, transport, connection = wired
    connection.data_received(b"\x16\x03\x01")
    assert (transport.statuses, transport.end) == ([400], "eof")


def test_input_after_the_last_response_is_dropped_within_a_limit(wired: Wired) -> None:
    application, transport, connection = wired
    connection.data_received(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert transport.end == "eof"

    connection.data_received(GET)
    assert len(application.dispatched) == 1
    connection.data_received(b"x" * limits.DISCARDED_BODIES * application.max_body_bytes)

    assert (transport.end, transport.statuses) == ("aborted", [200])


def test_requests_behind_a_refused_large_body_are_not_admitted(wired: Wired) -> None:
    application, transport, connection = wired
    application.refusal = error_response(413, "too large")
    connection.data_received(HEAD + b"\r\n" + b"x" * 100_000 + GET)

    assert (transport.statuses, transport.end) == ([413], "eof")
    assert application.released == 1


def test_small_body_of_a_refused_request_keeps_the_connection_open(wired: Wired) -> None:
    application, transport, connection = wired
    application.refusal = error_response(401, "no key")
    connection.data_received(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
    assert transport.written == b""

    connection.data_received(b"abc" + GET)

    assert (transport.statuses, transport.end) == ([401, 401], "")


def test_client_that_leaves_releases_complete_and_partial_requests(wired: Wired) -> None:
    application, _, connection = wired
    application.answers_at_once = False
    connection.data_received(GET + HEAD + b"\r\n" + b"x")

    connection.connection_lost(None)

    assert (application.released, application.connections) == (2, set())


@pytest.mark.parametrize(
    ("received", "is_receiving"), [(b"", False), (b"GET /", True), (HEAD + b"\r\n", True), (GET, False)]
)
def test_connection_is_receiving_from_first_byte_to_dispatch(
    wired: Wired, received: bytes, is_receiving: bool
) -> None:
    application, transport, connection = wired
    application.answers_at_once = False
    if received:
        connection.data_received(received)
    assert connection.is_receiving is is_receiving

    connection.close_if_idle()
    assert (transport.end == "eof") is (received == b"")


UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"


def test_thousands_of_pipelined_upgrade_offers_are_answered(wired: Wired) -> None:
    wired[2].data_received(UPGRADE * 2000)
    assert wired[1].statuses == [200] * 2000
    assert wired[1].reads


def test_error_of_the_server_ends_the_connection(wired: Wired, caplog: pytest.LogCaptureFixture) -> None:
    application, transport, connection = wired

    def fail(_: HttpRequest) -> HttpResponse | None:
        raise ValueError("an error of the server")

    application.admit = fail  # type: ignore[method-assign]
    connection.data_received(GET)
    assert (transport.end, transport.written) == ("aborted", b"")
    assert "ValueError" in caplog.text


def test_client_that_reads_nothing_gets_no_further_responses(wired: Wired) -> None:
    _, transport, connection = wired
    connection.pause_writing()
    connection.data_received(GET * 3)
    assert (transport.written, transport.reads) == (b"", False)
    connection.resume_writing()
    assert (transport.statuses, transport.reads) == ([200] * 3, True)


def test_time_while_the_server_does_not_read_is_no_time_of_the_client(wired: Wired) -> None:
    _, transport, connection = wired
    connection.data_received(b"GET / HTTP/1.1\r\n")
    connection.pause_writing()
    after(wired, limits.HEAD_SECONDS + 1)
    connection.resume_writing()
    after(wired, limits.HEAD_SECONDS)
    assert transport.written == b""
    after(wired, 1)
    assert transport.statuses == [408]


def connect(application: FakeApplication) -> tuple[HttpConnection, FakeTransport]:
    connection, transport = HttpConnection(application), FakeTransport()
    connection.connection_made(transport)  # type: ignore[arg-type]
    application.now += 1
    return connection, transport


def test_connection_beyond_the_limit_closes_the_oldest_without_a_key() -> None:
    application = FakeApplication()
    trusted, others = connect(application), [connect(application) for _ in range(2)]
    trusted[0].is_trusted = True
    others[0][0].data_received(GET)
    newest = connect(application)
    ends = [transport.end for _, transport in (trusted, *others, newest)]
    assert ends == ["", "", "aborted", ""]


def test_connection_with_a_running_request_is_not_closed_for_a_newer_one() -> None:
    application = FakeApplication()
    application.answers_at_once = False
    connections = [connect(application) for _ in range(3)]
    connections[0][0].data_received(GET)
    connect(application)
    assert [transport.end for _, transport in connections] == ["", "aborted", ""]


def test_incomplete_heads_beyond_the_limit_refuse_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "HELD_HEADS_BYTES", 100)
    application = FakeApplication()
    connections = [connect(application) for _ in range(3)]
    for (connection, _), size in zip(connections, (60, 30, 60), strict=True):
        connection.data_received(b"GET /" + b"x" * (size - 5))
    assert [transport.statuses for _, transport in connections] == [[408], [], []]
    connections[1][0].data_received(b" HTTP/1.1\r\nHost: a\r\n\r\n")
    connections[2][0].connection_lost(None)
    assert application.head_bytes == 0


async def test_time_limits_of_many_connections_are_checked_in_small_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_server, "_CHECKED_AT_ONCE", 1)
    monkeypatch.setattr(http_server, "TICK_SECONDS", 0.0)
    application = FakeApplication()
    connections = [connect(application) for _ in range(3)]
    for connection, _ in connections:
        connection.data_received(b"GET / HTTP/1.1\r\n")
    monkeypatch.setattr(http_server, "monotonic", lambda: 100.0)
    application.tick()
    assert sum(transport.statuses == [408] for _, transport in connections) == 1
    while any(transport.statuses != [408] for _, transport in connections):
        await asyncio.sleep(0)


async def test_connections_of_one_moment_end_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """To end 5,000 of them at once would delay the responses to all others."""
    monkeypatch.setattr(http_server, "_ENDED_AT_ONCE", 2)
    monkeypatch.setattr(http_server, "_PAUSE_SECONDS", 0.0)
    application = FakeApplication()
    connections = [connect(application) for _ in range(5)]
    for connection, _ in connections:
        connection.data_received(b"GET / HTTP/1.1\r\n")
    monkeypatch.setattr(http_server, "monotonic", lambda: 100.0)
    application.tick()
    ended: list[int] = []
    while not ended or ended[-1] < 5:
        ended.append(sum(transport.statuses == [408] for _, transport in connections))
        await asyncio.sleep(0)
    assert {*ended} == {2, 4, 5}


def test_closed_connection_is_no_garbage_in_a_cycle() -> None:
    application = FakeApplication()
    connection, transport = connect(application)
    connection.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n")
    connection.refuse_head()
    connection.connection_lost(None)
    closed = weakref.ref(connection)
    gc.disable()
    try:
        del connection, transport
        assert closed() is None
    finally:
        gc.enable()


def test_input_after_a_head_that_is_too_large_is_dropped_within_a_small_limit(wired: Wired) -> None:
    application, transport, connection = wired
    application.max_body_bytes = 2**30
    connection.data_received(b"GET /" + b"x" * 70_000)
    connection.data_received(b"x" * limits.DISCARDED_HEAD_BYTES)
    assert (transport.statuses, transport.end) == ([431], "eof")
    connection.data_received(b"x")
    assert transport.end == "aborted"


def test_unread_responses_beyond_the_limit_close_the_connection_with_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    application = FakeApplication(max_unsent_bytes=100)
    monkeypatch.setattr(http_server, "monotonic", lambda: application.now)
    connections = [connect(application) for _ in range(3)]
    for (_, transport), size in zip(connections, (40, 70, 30), strict=True):
        transport.unsent = size
    application.tick()
    assert [transport.end for _, transport in connections] == ["", "aborted", ""]


def test_input_after_a_refused_head_is_read_once_in_each_tick(wired: Wired) -> None:
    """A client that sends large heads takes no time of other clients."""
    _, transport, connection = wired
    connection.data_received(b"GET / HTTP/1.1\r\nx: " + b"y" * limits.MAX_HEAD_BYTES)
    assert (transport.statuses, transport.end, transport.reads) == ([431], "eof", True)
    for _ in range(3):
        connection.data_received(b"y" * 1000)
        assert not transport.reads
        after(wired, http_server.TICK_SECONDS)
        assert transport.reads
    after(wired, limits.CLOSING_SECONDS)
    assert transport.end == "closed"


def test_input_after_a_refused_body_is_read_at_full_speed(wired: Wired) -> None:
    """Most clients send the whole body before they read the response."""
    application, transport, connection = wired
    application.refusal = error_response(413, "too large")
    connection.data_received(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
    assert (transport.statuses, transport.end) == ([413], "eof")
    connection.data_received(b"y" * 1000)
    assert transport.reads


@pytest.mark.parametrize(
    ("head", "fed"),
    [
        (b"GET / HTTP/1.1\r\nx: ", [limits.MAX_HEAD_BYTES] * 2),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n",
            [limits.MAX_HEAD_BYTES, 2**18 - limits.MAX_HEAD_BYTES],
        ),
    ],
    ids=["head", "body"],
)
def test_one_read_is_parsed_up_to_the_refusal_of_its_head(
    wired: Wired, monkeypatch: pytest.MonkeyPatch, head: bytes, fed: list[int]
) -> None:
    sizes: list[int] = []
    feed = RequestParser.feed

    def count(parser: RequestParser, data: bytes) -> HttpResponse | None:
        sizes.append(len(data))
        return feed(parser, data)

    monkeypatch.setattr(RequestParser, "feed", count)
    wired[2].data_received(head.ljust(2**18, b"y"))
    assert sizes == fed
