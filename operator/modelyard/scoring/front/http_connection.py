"""HTTP/1.1 of one client, as a state machine.

Own code instead of uvicorn's. uvicorn gives each request a task and a chain of awaits, which costs two thirds
of the throughput (docs/scoring.md). It also has no limits for slow clients, headers or refused bodies.

A connection reads requests and answers them in order, one at a time. `ConnectionState` is the part it reads:

    state     event                                                      next state
    --------  ---------------------------------------------------------  ----------
    IDLE      first byte of a request                                    HEAD
              input that is not HTTP                                     REFUSING
              keep-alive time over, or nothing to do while draining      CLOSING
    HEAD      end of the headers                                         BODY
              headers too large, too slow or malformed                   REFUSING
    BODY      end of the request, at once if it has no body              IDLE
              malformed chunk                                            REFUSING
              body too slow: 408 is written                              CLOSING
    REFUSING  the refusal is written, after earlier requests' responses  CLOSING
    any       a response with `connection: close` is written             CLOSING
    CLOSING   client closes, CLOSING_SECONDS pass, or too many bytes     (the transport closes)

    IDLE, HEAD, BODY   input goes to the parser
    REFUSING           the transport does not read; input that still comes is dropped
    CLOSING            the write side is closed; input is dropped, and counted

`Flow` is the flow control of the input: the transport reads in OPEN only.

    flow       event                                                     next flow
    ---------  --------------------------------------------------------  ---------
    OPEN       more than PIPELINED_REQUESTS wait for their turn          FULL
               input is refused while earlier requests run               FULL
               a throttling response, and no request waits               THROTTLED
    FULL       few enough wait again                                     OPEN
               a throttling response, and no request waits               THROTTLED
    THROTTLED  the application calls resume_reading()                    OPEN
    any        the connection becomes CLOSING                            OPEN
    OPEN       input is discarded after a refused head                   FULL
    FULL       the next tick, while CLOSING                              OPEN

Unread responses, too, change OPEN to FULL, until the client reads them.
"""

import asyncio
import logging
import socket
import struct
from enum import Enum, auto
from functools import cached_property
from typing import Final, Protocol, cast

from modelyard.scoring.front import errors
from modelyard.scoring.front.http_limits import (
    BODY_BYTES_PER_SECOND,
    BODY_PAUSE_SECONDS,
    CLOSING_SECONDS,
    DISCARDED_BODIES,
    DISCARDED_HEAD_BYTES,
    HEAD_SECONDS,
    KEEP_ALIVE_SECONDS,
    MAX_HEAD_BYTES,
    PIPELINED_REQUESTS,
    SMALL_BODY_BYTES,
    SMALL_BODY_SECONDS,
    UNREAD_SECONDS,
)
from modelyard.scoring.front.http_parser import RequestParser
from modelyard.scoring.front.http_response import CONTINUE, response_bytes, stream_head
from modelyard.scoring.front.messages import Framing, HttpRequest, HttpResponse

log = logging.getLogger(__name__)

HEAD_TOO_SLOW: Final = errors.HEAD_TOO_SLOW.response(seconds=HEAD_SECONDS)
BODY_TOO_SLOW: Final = errors.BODY_TOO_SLOW.response()

_UNCONNECTED: Final = asyncio.Transport()
"""The transport of a connection before connection_made(): each method raises NotImplementedError."""


class ConnectionState(Enum):
    """The part of a request that a connection reads; the module's docstring has the transitions."""

    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    REFUSING = auto()
    CLOSING = auto()


class Flow(Enum):
    """The flow control of a connection's input; the module's docstring has the transitions."""

    OPEN = auto()
    FULL = auto()
    THROTTLED = auto()


# Python 3.11 takes 0.1 µs to get a member from its Enum class, and a request needs eight: these names take
# 0.01 µs.
_IDLE: Final = ConnectionState.IDLE
_HEAD: Final = ConnectionState.HEAD
_BODY: Final = ConnectionState.BODY
_REFUSING: Final = ConnectionState.REFUSING
_CLOSING: Final = ConnectionState.CLOSING
_OPEN: Final = Flow.OPEN
_FULL: Final = Flow.FULL
_THROTTLED: Final = Flow.THROTTLED

_DISCARDING: Final = (_REFUSING, _CLOSING)
_BETWEEN_BODIES: Final = (_IDLE, _HEAD)


class Application(Protocol):
    """The server behind all connections."""

    now: float
    """time.monotonic() of the latest tick, half a second old at most: reading it needs no system call."""
    date_line: bytes
    """The Date header line of responses."""
    max_body_bytes: int

    def join(self, connection: "HttpConnection") -> None:
        """Count a new connection; another one may be closed for it."""

    def leave(self, connection: "HttpConnection") -> None:
        """Forget a closed connection."""

    def hold_head(self, connection: "HttpConnection", size: int) -> None:
        """Count the bytes of an incomplete head; the oldest one may be refused for it."""

    def free_head(self, connection: "HttpConnection") -> None:
        """Stop counting a head: it is complete, or refused."""

    @property
    def draining(self) -> bool:
        """Return True if connections close after their next response."""

    def admit(self, request: HttpRequest) -> HttpResponse | None:
        """Check a request whose headers are complete. Return a refusal, or None to receive the body."""

    def reserve_body(self, request: HttpRequest, more_bytes: int) -> HttpResponse | None:
        """Reserve memory for a received piece of a body. Return a refusal if body or memory are too large.

        Only received bytes count: a size that a client declares costs the client nothing.
        """

    def dispatch(self, request: HttpRequest) -> None:
        """Answer a complete request by its connection's respond(), now or later."""

    @property
    def cancels(self) -> bool:
        """Return True if requests can be cancelled, so that a client that has left matters at once."""

    def abandon(self, request: HttpRequest) -> None:
        """Take note that the client closed the connection before the response."""

    def release(self, request: HttpRequest) -> None:
        """Free what the request holds: it is answered, or its client has left."""

    def throttle(self, connection: "HttpConnection") -> None:
        """Call the connection's resume_reading() after a while."""


class HttpConnection(asyncio.Protocol):
    """Parses requests, passes them to the application one at a time, and writes the responses."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._transport = _UNCONNECTED
        self._parser = RequestParser(self)
        self._state: ConnectionState = _IDLE
        self._flow: Flow = _OPEN
        self._requests: list[HttpRequest] = []
        """Requests without a response whose headers are complete, oldest first."""
        self._advancing = False
        self._holds_head = False
        """An incomplete head counts in the application's limit."""
        self._is_unread = False
        """The client does not read: the transport asked to pause writing."""
        self._is_half_closed = False
        """The client has closed its sending side while a request that can be cancelled runs."""
        self.is_trusted = False
        """A request of this connection had a valid key or token; the application sets it."""
        self._read_at = application.now
        self._served_at = application.now
        """When the connection was made, or the latest response written."""
        self._unsent_bytes = 0
        self._unsent_since = application.now
        self._close_at = float("inf")
        self._discardable_bytes = 0
        self._discards_slowly = False
        """Only one read follows in each tick: input that no request needs must not take time of others."""

    # --- called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the application's connections."""
        self._transport = cast(asyncio.Transport, transport)
        self._application.join(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the application's connections, and abandon all requests without a response."""
        self._application.leave(self)
        for request in self._drop_requests():
            self._application.abandon(request)
            self._application.release(request)
        self._parser.close()

    def eof_received(self) -> bool:
        """Return True, to keep the transport open, if complete requests wait for their response.

        A client may close its sending side and still read.
        """
        waiting = any(request.complete for request in self._requests) and self._state is not _CLOSING
        for request in self._requests:
            request.keep_alive = False
        if waiting and self._application.cancels:
            self._probe_client(self._requests[0])
        return waiting

    def _probe_client(self, request: HttpRequest) -> None:
        """Find out whether the client has left or still reads: the kernel of one that has left sends a reset.

        Clients skip interim responses that they do not expect (RFC 9110 section 15.2). HTTP/1.0 has none.
        """
        self._is_half_closed = True
        if request.stream is None and not request.is_http_1_0:
            self._transport.write(CONTINUE)

    def _has_left(self) -> bool:
        """Return True if a half-closed connection was reset. Event loops do not read from it any more."""
        if not self._is_half_closed:
            return False
        sock = self._transport.get_extra_info("socket")
        return sock is not None and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0

    def data_received(self, data: bytes | memoryview) -> None:
        """Parse the bytes, unless no more input is expected. An error of the server ends the connection."""
        if len(data) > MAX_HEAD_BYTES and self._state in _BETWEEN_BODIES:
            self._receive_in_parts(data)
            return
        self._read_at = self._application.now
        if self._state in _DISCARDING:
            self._discard(data)
            return
        try:
            refusal = self._parser.feed(data)
            if refusal is None and self._state is _HEAD:
                refusal = self._parser.check_head_size(data)
                if refusal is None:
                    self._holds_head = True
                    self._application.hold_head(self, self._parser.head_bytes)
            if refusal is not None:
                self._refuse_input(refusal)
        except Exception:
            log.exception("a connection is closed: an error of the server")
            self._transport.abort()
            return
        if len(self._requests) > PIPELINED_REQUESTS and self._flow is _OPEN:
            self._flow = _FULL
            self._transport.pause_reading()

    def _receive_in_parts(self, data: bytes | memoryview) -> None:
        """Parse the bytes up to the refusal of a head that is too large: one read has up to 256 KiB."""
        rest = memoryview(data)  # bodies are large: a slice of bytes would be a copy
        while self._state not in _DISCARDING and not self._transport.is_closing():
            if len(rest) <= MAX_HEAD_BYTES or self._state is _BODY:
                self.data_received(rest)
                return
            self.data_received(rest[:MAX_HEAD_BYTES])
            rest = rest[MAX_HEAD_BYTES:]

    def pause_writing(self) -> None:
        """Answer no further request until the client reads: responses would fill the memory."""
        self._is_unread = True
        if self._flow is _OPEN and self._state not in _DISCARDING:
            self._flow = _FULL
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Answer further requests: the client has read its responses."""
        self._is_unread = False
        if self._requests and self._requests[0].stream is not None:
            self._requests[0].stream.resume()
        self._advance()
        if self._flow is _FULL:
            self._reopen()

    def _discard(self, data: bytes | memoryview) -> None:
        if self._state is not _CLOSING:
            return
        self._discardable_bytes -= len(data)
        if self._discardable_bytes < 0:
            self._transport.abort()
        elif self._discards_slowly and self._flow is _OPEN:
            self._flow = _FULL
            self._transport.pause_reading()

    # --- called by the parser

    def begin_request(self) -> HttpRequest:
        """Return an empty request: its first byte has arrived."""
        self._state = _HEAD
        return HttpRequest(self, self._application.now)

    def receive_head(self, request: HttpRequest, refusal: HttpResponse | None) -> None:
        """Check the request, and answer it at once if that needs no body."""
        self._state = _BODY
        if self._holds_head:
            self._free_head()
        refusal = refusal or self._application.admit(request)
        if refusal is not None:
            self._refuse(request, refusal)
        self._requests.append(request)
        if request.declared_size != 0 and (refusal is not None or request.expects_continue):
            self._advance()  # all others are answered when their bodies are complete

    def receive_body(self, request: HttpRequest, piece: bytes) -> None:
        """Store a piece of the body, unless it is too large, or the request's path takes none."""
        request.size += len(piece)
        if request.refusal is not None:
            if request.size > DISCARDED_BODIES * self._application.max_body_bytes:
                self._transport.abort()
            return
        refusal = self._application.reserve_body(request, len(piece))
        if refusal is not None:
            self._refuse(request, refusal)
            self._advance()
        elif not request.drops_body:
            request.chunks.append(piece)

    def finish_request(self, request: HttpRequest) -> None:
        """Dispatch the request when its turn comes."""
        self._state = _IDLE
        request.complete = True
        self._advance()

    # --- responses, in the order of the requests

    @cached_property
    def client_address(self) -> tuple[str, int]:
        """Return the address and port at the other end, ("", 0) if it has closed the connection."""
        address = self._transport.get_extra_info("peername")
        return (address[0], address[1]) if address else ("", 0)

    def respond(self, request: HttpRequest, response: HttpResponse) -> None:
        """Write the response. The connection ends with it if the client or the server wants that."""
        if not self._requests or self._requests[0] is not request:
            return  # the client has left, or its slow body was answered with 408
        keep_alive = request.keep_alive and request.complete and not self._application.draining
        self._transport.write(
            response_bytes(request, response, keep_alive=keep_alive, date_line=self._application.date_line)
        )
        self.end_response(request, keep_alive=keep_alive, throttles=response.throttles)

    def write(self, request: HttpRequest, data: bytes) -> None:
        """Write a part of the response to the oldest request; end_response() follows the last part."""
        if self._requests and self._requests[0] is request:
            self._transport.write(data)

    @property
    def is_unread(self) -> bool:
        """Return True if the transport has asked to pause: the client does not read."""
        return self._is_unread

    def begin_response(self, request: HttpRequest, response: HttpResponse, length: int | None) -> Framing:
        """Write status line and headers of a response whose body follows by write()."""
        is_delimited = length is not None or not request.is_http_1_0
        keep_alive = is_delimited and request.keep_alive and not self._application.draining
        framing = Framing(length is None and is_delimited, keep_alive)
        self.write(request, stream_head(request, response, length, framing, self._application.date_line))
        return framing

    def break_response(self, request: HttpRequest) -> None:
        """End the connection in the middle of a body, after what is written.

        Before HTTP/1.1 the end of the connection is the end of a body: only a reset tells the client.
        """
        if not self._requests or self._requests[0] is not request:
            return
        if request.is_http_1_0:
            sock = self._transport.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._application.release(self._requests.pop(0))
            self._transport.abort()
        else:
            self.end_response(request, keep_alive=False)

    def end_response(self, request: HttpRequest, *, keep_alive: bool, throttles: bool = False) -> None:
        """Go on to the next request after a response, or close the connection."""
        if not self._requests or self._requests[0] is not request:
            return
        del self._requests[0]
        self._served_at = self._application.now
        self._application.release(request)
        if not keep_alive:
            self._close()
        elif throttles and not self._requests and self._flow is not _THROTTLED:
            self._throttle()
        else:
            if self._flow is _FULL:
                self._reopen()
            if self._requests:
                self._advance()

    def _advance(self) -> None:
        """Take the oldest request as far as possible, then the next, without recursion.

        A client may pipeline thousands of requests, and respond() calls this method.
        """
        if self._advancing:
            return
        self._advancing = True
        while self._requests and not self._requests[0].dispatched and self._state is not _CLOSING:
            if self._is_unread:
                break
            request = self._requests[0]
            if request.complete:
                request.dispatched = True
                if request.refusal is None:
                    self._application.dispatch(request)
                else:
                    self.respond(request, request.refusal)
            elif request.refusal is None:
                if request.expects_continue:
                    request.expects_continue = False
                    self._transport.write(CONTINUE)
                break
            elif _has_small_body(request):
                break  # the connection can stay open once the body is read
            else:
                self.respond(request, request.refusal)
        self._advancing = False

    def _refuse(self, request: HttpRequest, refusal: HttpResponse) -> None:
        request.refusal = refusal
        request.refused_at = self._application.now
        request.chunks = []

    def _refuse_input(self, refusal: HttpResponse) -> None:
        """Make the refusal the last response: further input cannot be parsed."""
        if self._state is _CLOSING:
            return
        self._state = _REFUSING
        self._free_head()
        request = self._parser.stop() or HttpRequest(self, self._application.now)
        self._refuse(request, refusal)
        request.complete = True
        request.keep_alive = False
        if request not in self._requests:
            self._requests.append(request)
        self._advance()
        if self._state is _REFUSING and self._flow is _OPEN:  # earlier requests still run
            self._flow = _FULL
            self._transport.pause_reading()

    # --- flow control

    def _throttle(self) -> None:
        if self._flow is _OPEN:
            self._transport.pause_reading()
        self._flow = _THROTTLED
        self._application.throttle(self)

    def resume_reading(self) -> None:
        """End the pause that follows a response that throttles."""
        if self._flow is _THROTTLED:
            self._flow = _FULL
            self._read_at = self._application.now
            self._reopen()

    def _reopen(self) -> None:
        """Read again if few enough requests wait, and the input can be parsed."""
        is_room = len(self._requests) <= PIPELINED_REQUESTS and not self._is_unread
        if is_room and self._state is not _REFUSING and not self._transport.is_closing():
            self._flow = _OPEN
            receiving = self._parser.request
            if receiving is not None:
                receiving.began_at = self._application.now  # the pause was not the client's
            self._transport.resume_reading()

    # --- the end of the connection

    @property
    def is_serving(self) -> bool:
        """Return True while the oldest request is with the application."""
        return bool(self._requests) and self._requests[0].dispatched

    @property
    def unsent_bytes(self) -> int:
        """Return the bytes of responses that the client has not read yet."""
        return self._transport.get_write_buffer_size()

    def eviction_order(self) -> tuple[bool, float]:
        """Return the key by which connections are sorted for eviction: the smallest is closed first."""
        return self.is_trusted, self._served_at

    def refuse_head(self) -> None:
        """Answer 408 to an incomplete head."""
        self._refuse_input(HEAD_TOO_SLOW)

    def abort(self) -> None:
        """Close the connection at once, without a response."""
        self._transport.abort()

    def _free_head(self) -> None:
        if self._holds_head:
            self._holds_head = False
            self._application.free_head(self)

    @property
    def is_receiving(self) -> bool:
        """Return True if a request has arrived in part, or waits for its turn."""
        if self._state in (_HEAD, _BODY):
            return True
        return self._state is not _CLOSING and any(not request.dispatched for request in self._requests)

    def close_if_idle(self) -> None:
        """Close a connection without requests, while the server drains."""
        if self._state is _IDLE and not self._requests:
            self._close()

    def check_time_limits(self, now: float) -> bool:
        """End what takes too long, and return True then. The application calls it twice a second."""
        unsent = self._transport.get_write_buffer_size()
        if unsent != self._unsent_bytes:
            self._unsent_bytes, self._unsent_since = unsent, now
        if self._has_left() or (unsent and now - self._unsent_since > UNREAD_SECONDS):
            self._transport.abort()
            return True
        receiving = self._parser.request
        if self._state is _CLOSING:
            if now > self._close_at:
                self._transport.close()
                return True
            if self._flow is _FULL:
                self._flow = _OPEN
                self._transport.resume_reading()
        elif self._state is _HEAD and receiving is not None and self._flow is _OPEN:
            if now - receiving.began_at > HEAD_SECONDS:
                self._refuse_input(HEAD_TOO_SLOW)
                return True
        elif self._state is _BODY and receiving is not None:
            return self._check_body(receiving, now)
        elif not self._requests and now - self._read_at > KEEP_ALIVE_SECONDS:
            self._close()
            return True
        return False

    def _check_body(self, request: HttpRequest, now: float) -> bool:
        """Answer a request whose body is too slow, if its turn has come. Return True if it was answered."""
        if self._requests[0] is not request:
            return False
        if request.refusal is not None:
            if now - request.refused_at <= SMALL_BODY_SECONDS:
                return False
            self.respond(request, request.refusal)
            return True
        counted_seconds = now - request.began_at - BODY_PAUSE_SECONDS
        is_slow = request.size < counted_seconds * BODY_BYTES_PER_SECOND
        if is_slow or now - self._read_at > BODY_PAUSE_SECONDS:
            self.respond(request, BODY_TOO_SLOW)
            return True
        return False

    def _close(self) -> None:
        """Close the write side, and discard input within limits until the client closes, too."""
        requests = self._drop_requests()
        if self._state is _REFUSING:
            self._discardable_bytes = DISCARDED_HEAD_BYTES
            self._discards_slowly = True
        else:
            self._discardable_bytes = DISCARDED_BODIES * self._application.max_body_bytes
        self._state = _CLOSING
        self._close_at = self._application.now + CLOSING_SECONDS
        for request in requests:
            self._application.release(request)
        if self._flow is not _OPEN:
            self._flow = _OPEN
            self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _drop_requests(self) -> list[HttpRequest]:
        """Stop the parser. Return the requests without a response whose headers are complete."""
        self._parser.stop()
        self._free_head()
        requests, self._requests = self._requests, []
        return requests


def _has_small_body(request: HttpRequest) -> bool:
    """Return True if the body of a refused request is worth reading, and the client sends it unasked.

    `100 Continue` would ask for a body that is then dropped: such a request is answered at once.
    """
    return (
        request.declared_size is not None
        and request.declared_size <= SMALL_BODY_BYTES
        and not request.expects_continue
    )
