"""The body of a response that goes out as the driver makes it, at the speed of its client."""

from __future__ import annotations

from modelyard.scoring.front.http_response import LAST_CHUNK, chunk
from modelyard.scoring.front.messages import HttpRequest, HttpResponse, StreamSource


class ResponseStream:
    """One streamed response, from its headers to its end.

    While the client does not read, no byte is acknowledged, and the worker waits. The memory for one stream
    is the transport's buffer and frames.STREAM_WINDOW_BYTES.
    """

    def __init__(
        self,
        request: HttpRequest,
        response: HttpResponse,
        length: int | None,
        source: StreamSource,
        kept_bytes: int = 0,
    ) -> None:
        """`length` is the declared one of the body. `kept_bytes` of the body stay in `beginning`."""
        self.status = response.status
        self.content_type = response.content_type
        self.size = 0
        """Bytes of body that are written."""
        self.beginning: list[bytes] = []
        self._missing_bytes = kept_bytes
        """Bytes of the beginning that are not there yet."""
        self._request = request
        self._length = length
        self._source = source
        self._framing = request.connection.begin_response(request, response, length)
        request.stream = self

    def write(self, piece: bytes) -> bool:
        """Write a piece of the body. Return False if the body is now longer than its declared length."""
        self.size += len(piece)
        if self._missing_bytes > 0:
            self.beginning.append(piece[: self._missing_bytes])
            self._missing_bytes -= len(piece)
        if self._length is not None and self.size > self._length:
            return False
        connection = self._request.connection
        connection.write(self._request, chunk(piece) if self._framing.is_chunked else piece)
        if not connection.is_unread:
            self._source.acknowledge()
        return True

    def resume(self) -> None:
        """Let the worker send more: the client has read."""
        self._source.acknowledge()

    def end(self) -> bool:
        """End a complete body. Return False if it has not its declared length."""
        if self._length not in (None, self.size):
            return False
        if self._framing.is_chunked:
            self._request.connection.write(self._request, LAST_CHUNK)
        self._request.stream = None
        keep_alive = self._framing.keep_alive and self._request.keep_alive
        self._request.connection.end_response(self._request, keep_alive=keep_alive)
        return True

    def fail(self) -> None:
        """End the connection without the rest of the body."""
        self._request.stream = None
        self._request.connection.break_response(self._request)
