"""From received bytes to requests: the callbacks of httptools, and the checks of a request's head."""

from typing import Final, Protocol

import httptools

from modelyard.scoring.front import errors
from modelyard.scoring.front.http_limits import MAX_HEAD_BYTES, MAX_HEADERS
from modelyard.scoring.front.messages import HttpRequest, HttpResponse

HEAD_TOO_LARGE: Final = errors.HEAD_TOO_LARGE.response(most=MAX_HEAD_BYTES)
TOO_MANY_HEADERS: Final = errors.TOO_MANY_HEADERS.response(most=MAX_HEADERS)
NOT_HTTP: Final = errors.NOT_HTTP.response()
HOST_MISSING: Final = errors.HOST_MISSING.response()
HOST_REPEATED: Final = errors.HOST_REPEATED.response()
CHUNKED_HTTP_1_0: Final = errors.CHUNKED_HTTP_1_0.response()
NO_PROXY: Final = errors.NO_PROXY.response()

_UPGRADE_HEADERS: Final = (b"connection", b"upgrade", b"http2-settings")


class RequestReceiver(Protocol):
    """The connection, as the parser sees it. The parser calls these methods from within `feed`."""

    def begin_request(self) -> HttpRequest:
        """Return an empty request: its first byte has arrived."""

    def receive_head(self, request: HttpRequest, refusal: HttpResponse | None) -> None:
        """Take a request whose headers are complete, with a refusal if they are invalid."""

    def receive_body(self, request: HttpRequest, piece: bytes) -> None:
        """Take the next piece of a request's body."""

    def finish_request(self, request: HttpRequest) -> None:
        """Take the end of a request."""


class RequestParser:
    """Builds the requests of one connection from its bytes."""

    def __init__(self, receiver: RequestReceiver) -> None:
        self.request: HttpRequest | None = None
        """The request that is being received."""
        self.separator = b", "
        """Between the values of a header that comes several times (RFC 9110 section 5.2)."""
        self._receiver = receiver
        self._parser = httptools.HttpRequestParser(self)
        self._stopped = False
        self._data_bytes = 0
        self.head_bytes = 0
        """Bytes of the head that is being received, without the latest bytes that were fed."""
        self._repeated_headers = 0
        self._repeated_host = False
        self._upgrade_offer: HttpRequest | None = None

    def feed(self, data: bytes | memoryview) -> HttpResponse | None:
        """Parse the bytes. Return an error response if the connection's input cannot be parsed further.

        Raises the exception of a callback, which is an error of the server and not of the client.
        """
        self._data_bytes = len(data)
        rest = data
        try:
            while True:
                try:
                    self._parser.feed_data(rest)
                except httptools.HttpParserUpgrade as upgrade:
                    # A client may pipeline thousands of offers: no recursion, and no copy of the rest.
                    rest = memoryview(rest)[upgrade.args[0] :]
                    if refusal := self._decline_upgrade():
                        return refusal
                else:
                    return None
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ or error from None
        except httptools.HttpParserError:
            return NOT_HTTP

    def check_head_size(self, data: bytes | memoryview) -> HttpResponse | None:
        """Count `data`, which was just fed and ended within a head. Return an error if it is too large."""
        # Bytes before the last empty line belong to earlier, pipelined requests.
        end_of_earlier = bytes(data).rfind(b"\r\n\r\n")
        self.head_bytes += len(data) - (end_of_earlier + 4 if end_of_earlier >= 0 else 0)
        if self.head_bytes > MAX_HEAD_BYTES:
            return HEAD_TOO_LARGE
        if self.request is not None and self._has_too_many_headers(self.request):
            return TOO_MANY_HEADERS
        return None

    def stop(self) -> HttpRequest | None:
        """Ignore all further input. Return the request that was being received, if any."""
        request, self.request = self.request, None
        self._stopped = True
        return request

    def close(self) -> None:
        """Forget the connection and httptools' parser, which both hold this object.

        Otherwise they are garbage in cycles: to collect those of 5,000 clients stops the server for 75 ms.
        """
        self.stop()
        del self._parser, self._receiver

    # --- called by httptools

    def on_message_begin(self) -> None:
        """Begin a request."""
        if not self._stopped:
            self.request = self._receiver.begin_request()
            self.head_bytes = 0
            self._repeated_headers = 0
            self._repeated_host = False

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request target."""
        if self.request is not None:
            self.request.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header."""
        if self.request is not None:
            headers = self.request.headers
            name = name.lower()
            if name in headers:
                self._add_repeated(headers, name, value)
            else:
                headers[name] = value

    def on_headers_complete(self) -> None:
        """Complete the request's head and pass it on, unless it offers to upgrade the protocol."""
        request, parser = self.request, self._parser
        if request is None:
            return
        if parser.should_upgrade():
            self._upgrade_offer, self.request = request, None
            return
        headers = request.headers
        request.method = parser.get_method().decode("latin-1")
        request.keep_alive = parser.should_keep_alive()
        request.is_http_1_0 = parser.get_http_version() == "1.0"
        path, _, request.query = request.target.partition(b"?")
        request.path = path.decode("latin-1")
        if b"transfer-encoding" in headers:
            request.declared_size = None
        else:
            request.declared_size = int(headers.get(b"content-length", 0))
        if b"expect" in headers:
            request.expects_continue = headers[b"expect"].lower() == b"100-continue"
        refusal = self._refusal(request)
        if refusal is not None:
            request.keep_alive = False
        self._receiver.receive_head(request, refusal)

    def _refusal(self, request: HttpRequest) -> HttpResponse | None:
        """Return the refusal of a head that is too large or ambiguous (RFC 9112 sections 3.2 and 6.1)."""
        if self._data_bytes + self.head_bytes > MAX_HEAD_BYTES and _head_size(request) > MAX_HEAD_BYTES:
            return HEAD_TOO_LARGE
        if self._has_too_many_headers(request):
            return TOO_MANY_HEADERS
        if self._repeated_host:
            return HOST_REPEATED
        if request.is_http_1_0:
            return CHUNKED_HTTP_1_0 if request.declared_size is None else None
        return None if b"host" in request.headers else HOST_MISSING

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if self.request is not None:
            self._receiver.receive_body(self.request, body)

    def on_message_complete(self) -> None:
        """End the request."""
        request, self.request = self.request, None
        if request is not None:
            self._receiver.finish_request(request)

    def _add_repeated(self, headers: dict[bytes, bytes], name: bytes, value: bytes) -> None:
        """Join a header to an earlier one of its name, unless there are too many: the join copies both."""
        self._repeated_host |= name == b"host"
        self._repeated_headers += 1
        if self._repeated_headers <= MAX_HEADERS:
            headers[name] += self.separator + value

    def _has_too_many_headers(self, request: HttpRequest) -> bool:
        return len(request.headers) + self._repeated_headers > MAX_HEADERS

    def _decline_upgrade(self) -> HttpResponse | None:
        """Parse the head again without its offer to upgrade the protocol (RFC 9110 section 7.8).

        Java's HttpClient by default, and curl --http2, offer h2c with a connection's first request. httptools
        takes the body for bytes of the other protocol. Without this method run() would score an empty body.
        """
        offer, self._upgrade_offer = self._upgrade_offer, None
        if offer is None:
            return NOT_HTTP
        method = self._parser.get_method()
        if method == b"CONNECT":
            return NO_PROXY
        headers = [line for line in offer.headers.items() if line[0] not in _UPGRADE_HEADERS]
        if not self._parser.should_keep_alive():
            headers.append((b"connection", b"close"))
        lines = [
            b"%s %s HTTP/1.1" % (method, offer.target),
            *(b"%s: %s" % line for line in headers),
            b"",
            b"",
        ]
        repeated_headers, repeated_host = self._repeated_headers, self._repeated_host
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(b"\r\n".join(lines[:-2]) + b"\r\n")
        self._repeated_headers, self._repeated_host = repeated_headers, repeated_host
        self._parser.feed_data(b"\r\n")
        return None


def _head_size(request: HttpRequest) -> int:
    """Return the bytes of request target and headers, with their separators."""
    return len(request.target) + sum(len(name) + len(value) + 4 for name, value in request.headers.items())
