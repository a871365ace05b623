"""Makes records of answered requests: the event loop makes some at once, and a thread writes them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from msgspec.msgpack import Encoder

from modelyard.scoring.frames import INFER
from modelyard.scoring.front.messages import HttpResponse, QueuedRequest
from modelyard.scoring.front.request_queue import OVERLOADED
from modelyard.scoring.front.response_stream import ResponseStream
from modelyard.scoring.front.telemetry import parse_traceparent
from modelyard.scoring.spool import record
from modelyard.scoring.spool.batch import KINDS, Entry, encode_piece
from modelyard.scoring.spool.bodies import kept_body
from modelyard.scoring.spool.counts import ENCODE_FAILED, Counts
from modelyard.scoring.spool.declared import MAX_BYTES
from modelyard.scoring.spool.sampling import is_sample
from modelyard.scoring.spool.segment_writer import SegmentWriter
from modelyard.scoring.spool.settings import CollectionSettings
from modelyard.scoring.spool.spool_writer import SpoolWriter

log = logging.getLogger(__name__)

WRITER: Final = "front"
"""The name of the front's files in the spool."""

CLOSE_SECONDS: Final = 5.0
"""The longest wait for the disk at the end of the process."""

MAX_TYPE_BYTES: Final = 256
"""Bytes of a media type that a record keeps; RFC 6838 allows 127 for each of its two names."""

PIECE_RECORDS: Final = 32
"""Records that are made at once. One alone finds code and memory cold, and takes twice as long. Many more
would push the memory of the next requests out of the processor's cache."""

PIECE_SECONDS: Final = 0.025
"""How long a record waits for others."""

SMALL_BYTES: Final = 16 * 1024
"""A larger body is cut and digested by the thread."""

_Answered = tuple[QueuedRequest, Sequence[bytes], int, bytes, bytes, int, float]
"""An answered request, the parameters of _entry()."""

_SCORE: Final = KINDS.index(record.SCORE)
_INFER: Final = KINDS.index(record.INFER)


class RequestCollector:
    """Collects the requests of one front. Used on the event loop."""

    def __init__(self, settings: CollectionSettings) -> None:
        self._percent = settings.sample_percent
        self.body_bytes = settings.body_bytes
        """How many bytes of a body a record has at most."""
        self._segments = SegmentWriter(settings.folder, WRITER, settings.spool_bytes)
        self._writer = SpoolWriter(self._segments)
        self._small_bytes = min(SMALL_BYTES, self.body_bytes)
        self._encode = Encoder().encode
        self._waiting: list[_Answered] = []
        """The requests whose records wait."""
        self._will_flush = False
        """A timer runs."""

    def declare(self, columns: str) -> None:
        """Write the columns that the driver declares beside the records from now on, see spool.declared."""
        declared = columns.encode("utf-8", "replace")
        if len(declared) <= MAX_BYTES:
            self._segments.declared = declared

    def add(self, queued: QueuedRequest, outcome: int, response: HttpResponse, answered_at: float) -> None:
        """Collect a request with its complete response, unless no worker began it in time.

        `answered_at` is the present time (time.monotonic): to read a clock takes as long as all the rest.
        """
        if outcome != OVERLOADED:
            body = response.body
            self._add(queued, response.status, response.content_type, body, len(body), answered_at)

    def add_stream(self, queued: QueuedRequest, stream: ResponseStream, status: int) -> None:
        """Collect a request whose response was a stream."""
        beginning = b"".join(stream.beginning)
        self._add(queued, status, stream.content_type, beginning, stream.size, time.monotonic())

    def abandon(self, queued: QueuedRequest, status: int) -> None:
        """Collect a request whose client has left, if a part of the response is with the client."""
        if queued.response is not None:
            self.add_stream(queued, queued.response, status)
        queued.body = None

    def counts(self) -> Counts:
        """Return the sums since the start of the process."""
        return self._writer.counts()

    def close(self) -> None:
        """Write all records."""
        self._flush()
        self._writer.close(CLOSE_SECONDS)

    def _add(
        self,
        queued: QueuedRequest,
        status: int,
        content_type: bytes,
        response: bytes,
        response_bytes: int,
        answered_at: float,
    ) -> None:
        chunks, queued.body = queued.body or (), None
        if self._percent != 100 and not is_sample(queued.request.request_id, self._percent):
            self._writer.skip()
            return
        answered = (queued, chunks, status, content_type, response, response_bytes, answered_at)
        if queued.size > self._small_bytes or len(response) > self._small_bytes:
            self._writer.put(partial(self._large_piece, answered), 1, queued.size + len(response))
            return
        waiting = self._waiting
        waiting.append(answered)
        if len(waiting) == PIECE_RECORDS:
            self._flush()
        elif not self._will_flush:
            self._will_flush = True
            asyncio.get_running_loop().call_later(PIECE_SECONDS, self._flush_in_time)

    def _flush_in_time(self) -> None:
        self._will_flush = False
        self._flush()

    def _flush(self) -> None:
        """Pass the records of the requests that wait to the thread."""
        waiting = self._waiting
        if not waiting:
            return
        self._waiting = []
        try:
            entries = [_entry(*answered) for answered in waiting]
            piece = encode_piece(self._encode, _clock_shift_ns(), entries)
        except ValueError:
            log.exception("records of data collection cannot be encoded, and are dropped")
            self._writer.drop(ENCODE_FAILED, len(waiting))
            return
        self._writer.put(piece, len(entries), len(piece))

    def _large_piece(self, answered: _Answered) -> bytes:
        """Return a record with the kept parts of its bodies; called in the writer's thread."""
        whole = Entry(*_entry(*answered))
        request, request_sha256 = self._kept(whole.request, whole.request_type, whole.request_bytes)
        response, response_sha256 = self._kept(whole.response, whole.response_type, whole.response_bytes)
        kept = whole._replace(
            request=request,
            response=response,
            request_sha256=request_sha256,
            response_sha256=response_sha256,
        )
        return encode_piece(self._encode, _clock_shift_ns(), [kept])

    def _kept(self, body: bytes, media_type: bytes, size: int) -> tuple[bytes, bytes]:
        return kept_body(body, media_type.decode("latin-1"), self.body_bytes, size)


def _entry(
    queued: QueuedRequest,
    chunks: Sequence[bytes],
    status: int,
    content_type: bytes,
    response: bytes,
    response_bytes: int,
    answered_at: float,
) -> tuple[Any, ...]:
    """Return the record of a request, see batch.Entry."""
    request, arrived_at = queued.request, queued.arrived_at
    span, headers = request.span, request.headers
    traceparent = headers.get(b"traceparent") if span is None else None
    return (
        arrived_at,
        answered_at - arrived_at,
        status,
        _INFER if queued.flags & INFER else _SCORE,
        queued.size,
        response_bytes,
        "",
        request.request_id,
        "",
        span.trace_id if span else parse_traceparent(traceparent)[0] if traceparent else "",
        request.method,
        headers.get(b"content-type", b"")[:MAX_TYPE_BYTES],
        content_type[:MAX_TYPE_BYTES],
        chunks[0] if len(chunks) == 1 else b"".join(chunks),
        response,
        b"",
        b"",
    )


def _clock_shift_ns() -> int:
    """Return the time since the epoch at the origin of time.monotonic(), in nanoseconds."""
    return time.time_ns() - time.monotonic_ns()
