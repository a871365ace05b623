"""One client's connection: HTTP/1.1 on httptools, with limits for all that a client may do.

Own code, not uvicorn's: it gives each request a task and a chain of awaits, which costs two thirds of the
throughput (docs/scoring.md), and it knows no limit for slow clients, headers or refused bodies.
"""

import asyncio
from http import HTTPStatus
from typing import Final, Protocol, cast

import httptools

from modelyard.scoring.front.messages import (
    Request,
    Response,
    message,
)

MAX_HEAD_BYTES: Final = 64 * 1024
"""Request line and headers together; more gets 431."""

HEAD_SECONDS: Final = 10.0
"""From a request's first byte to the end of its headers; more gets 408."""

BODY_PAUSE_SECONDS: Final = 20.0
"""Between two pieces of a body; more gets 408."""

BODY_BYTES_PER_SECOND: Final = 1024
"""A body that comes slower on average, after the first BODY_PAUSE_SECONDS, gets 408."""

KEEP_ALIVE_SECONDS: Final = 120.0
"""Longer than usual clients and proxies keep an idle connection (Go 90 s, nginx and ALB 60 s): when they
close it first, no request meets a connection that is just being closed."""

UNREAD_SECONDS: Final = 60.0
"""A client that takes nothing of its answer for so long is cut off."""

SMALL_BODY_BYTES: Final = 64 * 1024
"""A refused request's body up to this size is read to its end first, so that the connection can be kept."""

SMALL_BODY_SECONDS: Final = 1.0
"""How long that may take."""

LINGER_SECONDS: Final = 10.0
"""How long a refused client may go on sending before the connection is closed. Closing with unread data would
reset the connection, and the client would lose the answer."""

LINGER_BODIES: Final = 4
"""How much it may send meanwhile, in multiples of the largest body: most clients send all, then read."""

PIPELINED: Final = 4
"""Requests read ahead on one connection."""

TOO_LONG_A_HEAD: Final = message(431, f"The headers are larger than {MAX_HEAD_BYTES} bytes.")

_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


class Site(Protocol):
    """What stands behind all connections. `now` is a clock of half a second, free of system calls."""

    now: float
    date_line: bytes
    max_body_bytes: int
    connections: "set[Connection]"

    @property
    def draining(self) -> bool:
        """Whether connections end after their next answer."""

    def admit(self, request: Request) -> Response | None:
        """Called when the headers are there. A response refuses the request before its body is read."""

    def handle(self, request: Request) -> None:
        """Called when the request is complete; answers by its connection's respond(), now or later."""

    def may_hold(self, request: Request, more_bytes: int) -> Response | None:
        """Asked before a body of no declared size grows. A response refuses it."""

    def abandoned(self, request: Request) -> None:
        """Its client has gone before the answer."""

    def finished(self, request: Request) -> None:
        """It will not be spoken of again."""

    def paced(self, connection: "Connection") -> None:
        """It pauses after a refusal. The site calls its read_on() in time."""


class Connection(asyncio.Protocol):
    """Parses requests, hands them to the site one at a time, and writes their answers."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._parser = httptools.HttpRequestParser(self)
        self._incoming: Request | None = None
        self._in_head = False
        self._head_bytes = 0
        self._upgrading = False
        self._requests: list[Request] = []
        self._pumping = False
        self._paused = False
        self._paced = False
        self._lingering_until: float | None = None
        self._linger_bytes = 0
        self._began_at = site.now
        self._heard_at = site.now
        self._unread = (0, site.now)
        self._data = b""

    # --- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._site.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._site.connections.discard(self)
        requests = self._requests
        self._requests = []
        if self._incoming is not None and self._incoming not in requests:
            requests.append(self._incoming)
        for request in requests:
            self._site.abandoned(request)
            self._site.finished(request)

    def eof_received(self) -> bool:
        """A client may close its sending side and still wait for the answer."""
        waiting = any(request.complete for request in self._requests)
        for request in self._requests:
            request.keep_alive = False
        return waiting and self._lingering_until is None

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._site.now
        if self._lingering_until is not None:
            self._linger_bytes -= len(data)
            if self._linger_bytes < 0:
                self._transport.abort()
            return
        self._data = data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse_the_rest(message(400, "This is no HTTP/1.1 request."))
        if self._in_head:
            # What comes before the last empty line belongs to earlier, pipelined requests.
            end_of_earlier = data.rfind(b"\r\n\r\n")
            self._head_bytes += len(data) - (end_of_earlier + 4 if end_of_earlier >= 0 else 0)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse_the_rest(TOO_LONG_A_HEAD)
        if len(self._requests) > PIPELINED and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    # --- the parser's calls

    def on_message_begin(self) -> None:
        self._incoming = Request(self)
        self._in_head = True
        self._head_bytes = 0
        self._began_at = self._site.now

    def on_url(self, url: bytes) -> None:
        assert self._incoming is not None
        self._incoming.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        assert self._incoming is not None
        headers = self._incoming.headers
        name = name.lower()
        headers[name] = headers[name] + b", " + value if name in headers else value

    def on_headers_complete(self) -> None:
        request, parser = self._incoming, self._parser
        assert request is not None
        self._in_head = False
        if parser.should_upgrade():
            self._upgrading = True
            return
        headers = request.headers
        request.method = parser.get_method().decode("latin-1")
        request.keep_alive = parser.should_keep_alive()
        request.is_http_1_0 = parser.get_http_version() == "1.0"
        path, _, request.query = request.target.partition(b"?")
        request.path = path.decode("latin-1")
        if b"transfer-encoding" in headers:
            request.declared = None
        else:
            request.declared = int(headers.get(b"content-length", 0))
        if b"expect" in headers:
            request.expects_continue = headers[b"expect"].lower() == b"100-continue"
        if len(self._data) + self._head_bytes > MAX_HEAD_BYTES and _head_bytes(request) > MAX_HEAD_BYTES:
            refusal: Response | None = TOO_LONG_A_HEAD
            request.keep_alive = False
        elif b"host" not in headers and not request.is_http_1_0:
            refusal = message(400, "The Host header is missing.")
            request.keep_alive = False
        else:
            refusal = self._site.admit(request)
        if refusal is not None:
            self._refuse(request, refusal)
        self._requests.append(request)
        if request.declared != 0:  # else on_message_complete comes at once
            self._pump()

    def on_body(self, body: bytes) -> None:
        request = self._incoming
        assert request is not None
        request.size += len(body)
        if request.refusal is not None:
            if request.size > LINGER_BODIES * self._site.max_body_bytes:
                self._transport.abort()
            return
        if request.declared is None:
            refusal = self._site.may_hold(request, len(body))
            if refusal is not None:
                self._refuse(request, refusal)
                self._pump()
                return
        request.chunks.append(body)

    def on_message_complete(self) -> None:
        request = self._incoming
        if self._upgrading or request is None:
            return
        self._incoming = None
        request.complete = True
        self._pump()

    # --- requests, one after the other

    def respond(self, request: Request, response: Response) -> None:
        """Answers the request in turn. The connection ends when the client or the server wants that."""
        if not self._requests or self._requests[0] is not request:
            return  # the client has gone, or gave up on a slow body
        keep = request.keep_alive and request.complete and not self._site.draining
        if not keep:
            connection = b"connection: close\r\n"
        else:
            connection = b"connection: keep-alive\r\n" if request.is_http_1_0 else b""
        body = response.body
        self._transport.write(
            b"%bcontent-type: %b\r\ncontent-length: %d\r\n%b%b%b%b\r\n%b"
            % (
                _STATUS_LINES.get(response.status) or b"HTTP/1.1 %d \r\n" % response.status,
                response.content_type,
                len(body),
                self._site.date_line,
                request.echo,
                response.lines,
                connection,
                b"" if request.method == "HEAD" else body,
            )
        )
        del self._requests[0]
        self._site.finished(request)
        if not keep:
            self._linger()
            return
        if response.paces and not self._requests and not self._paced:
            self._paced = True
            if not self._paused:
                self._paused = True
                self._transport.pause_reading()
            self._site.paced(self)
            return
        if not self._paced:
            self._resume()
        if self._requests:
            self._pump()

    def read_on(self) -> None:
        """Ends the pause after a refusal."""
        self._paced = False
        self._heard_at = self._site.now
        self._resume()

    def _resume(self) -> None:
        if self._paused and len(self._requests) <= PIPELINED and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    @property
    def is_receiving(self) -> bool:
        """Whether a request is under way that was not passed on yet."""
        return self._lingering_until is None and (
            self._incoming is not None or any(not request.handled for request in self._requests)
        )

    def close_if_idle(self) -> None:
        """While draining: ends a connection on which nothing is under way."""
        if not self._requests and self._incoming is None and self._lingering_until is None:
            self._linger()

    def check(self, now: float) -> None:
        """Ends what takes too long; called twice a second."""
        unread = self._transport.get_write_buffer_size()
        if unread != self._unread[0]:
            self._unread = (unread, now)
        if unread and now - self._unread[1] > UNREAD_SECONDS:
            self._transport.abort()
        elif self._lingering_until is not None:
            if now > self._lingering_until:
                self._transport.close()
        elif self._in_head:
            if now - self._began_at > HEAD_SECONDS:
                self._refuse_the_rest(message(408, f"The headers took longer than {HEAD_SECONDS:.0f} s."))
        elif self._incoming is not None:
            self._check_body(self._incoming, now)
        elif not self._requests and now - self._heard_at > KEEP_ALIVE_SECONDS:
            self._linger()

    def _check_body(self, request: Request, now: float) -> None:
        if self._requests[0] is not request:
            return
        if request.refusal is not None:
            if now - request.refused_at > SMALL_BODY_SECONDS:
                self.respond(request, request.refusal)
            return
        took = now - self._began_at - BODY_PAUSE_SECONDS
        if now - self._heard_at > BODY_PAUSE_SECONDS or request.size < took * BODY_BYTES_PER_SECOND:
            self.respond(request, message(408, "The body comes too slowly."))

    def _pump(self) -> None:
        """Carries the request in turn as far as it gets. A loop, as a client may pipeline thousands."""
        if self._pumping:
            return
        self._pumping = True
        while self._requests and not self._requests[0].handled and self._lingering_until is None:
            request = self._requests[0]
            if request.complete:
                request.handled = True
                if request.refusal is None:
                    self._site.handle(request)
                else:
                    self.respond(request, request.refusal)
            elif request.refusal is not None:
                # "100 Continue" for a body that nobody wants would be a lie: it is answered at once
                small = request.declared is not None and request.declared <= SMALL_BODY_BYTES
                if small and not request.expects_continue:
                    break
                self.respond(request, request.refusal)
            else:
                if request.expects_continue:
                    request.expects_continue = False
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                break
        self._pumping = False

    def _refuse(self, request: Request, refusal: Response) -> None:
        request.refusal = refusal
        request.refused_at = self._site.now
        request.chunks = []

    def _refuse_the_rest(self, refusal: Response) -> None:
        """What comes in cannot be read on: the answer comes in its turn and is the last."""
        if self._lingering_until is not None:
            return
        request = self._incoming or Request(self)
        self._incoming = None
        self._in_head = False
        self._refuse(request, refusal)
        request.complete = True
        request.keep_alive = False
        if request not in self._requests:
            self._requests.append(request)
        self._parser = httptools.HttpRequestParser(_Deaf())
        self._pump()

    def _without_upgrade(self, rest: bytes) -> None:
        """Parses the request once more without its offer to change the protocol (RFC 9110 section 7.8).

        Java's HttpClient by default, and curl --http2, offer h2c with a connection's first request. httptools
        then takes the body for the other protocol's bytes, and run() would score an empty body.
        """
        request, method = self._incoming, self._parser.get_method()
        assert request is not None
        self._incoming = None
        self._upgrading = False
        if method == b"CONNECT":
            self._refuse_the_rest(message(400, "This server is no proxy."))
            return
        offers = (b"connection", b"upgrade", b"http2-settings")
        kept = [line for line in request.headers.items() if line[0] not in offers]
        if not self._parser.should_keep_alive():
            kept.append((b"connection", b"close"))
        lines = [b"%s %s HTTP/1.1" % (method, request.target), *(b"%s: %s" % line for line in kept), b"", b""]
        self._parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join(lines) + rest)

    def _linger(self) -> None:
        """Says that no more comes, and listens on until the client closes too, within limits."""
        self._lingering_until = self._site.now + LINGER_SECONDS
        self._linger_bytes = LINGER_BODIES * self._site.max_body_bytes
        requests, self._requests = self._requests, []
        if self._incoming is not None and self._incoming not in requests:
            requests.append(self._incoming)
        self._incoming = None
        self._in_head = False
        for request in requests:
            self._site.finished(request)
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()


def _head_bytes(request: Request) -> int:
    return len(request.target) + sum(len(name) + len(value) + 4 for name, value in request.headers.items())


class _Deaf:
    """Hears nothing of a connection that is not read on."""
