"""Makes a record of each answered request: the event loop encodes some at once, and a thread writes them."""

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
"""Records that are encoded at once. One alone finds code and memory cold, and takes twice as long. Many more
would push the memory of the next requests out of the processor's cache."""

PIECE_SECONDS: Final = 0.025
"""How long a record waits for others."""

SMALL_BYTES: Final = 16 * 1024
"""A larger body is cut and digested by the thread."""

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
        self._entries: list[tuple[Any, ...]] = []
        """The records that wait, see batch.Entry."""
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
            size = len(body)
            self._add(queued, response.status, response.content_type, body, size, size, answered_at)

    def add_stream(self, queued: QueuedRequest, stream: ResponseStream, status: int) -> None:
        """Collect a request whose response was a stream."""
        kept, now = sum(map(len, stream.beginning)), time.monotonic()
        self._add(queued, status, stream.content_type, stream.beginning, kept, stream.size, now)

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
        response: bytes | Sequence[bytes],
        held_bytes: int,
        response_bytes: int,
        answered_at: float,
    ) -> None:
        request, chunks = queued.request, queued.body or ()
        queued.body = None
        if self._percent != 100 and not is_sample(request.request_id, self._percent):
            self._writer.skip()
            return
        span, headers, size = request.span, request.headers, queued.size
        traceparent = headers.get(b"traceparent") if span is None else None
        entry = (
            queued.arrived_at,
            answered_at - queued.arrived_at,
            status,
            _INFER if queued.flags & INFER else _SCORE,
            size,
            response_bytes,
            "",
            request.request_id,
            "",
            span.trace_id if span else parse_traceparent(traceparent)[0] if traceparent else "",
            request.method,
            headers.get(b"content-type", b"")[:MAX_TYPE_BYTES],
            content_type[:MAX_TYPE_BYTES],
            chunks[0] if len(chunks) == 1 else b"".join(chunks) if size <= self._small_bytes else chunks,
            response if isinstance(response, bytes) else b"".join(response),
            b"",
            b"",
        )
        if size > self._small_bytes or held_bytes > self._small_bytes:
            self._writer.put(partial(self._large_piece, entry), 1, size + held_bytes)
            return
        entries = self._entries
        entries.append(entry)
        if len(entries) == PIECE_RECORDS:
            self._flush()
        elif not self._will_flush:
            self._will_flush = True
            asyncio.get_running_loop().call_later(PIECE_SECONDS, self._flush_in_time)

    def _flush_in_time(self) -> None:
        self._will_flush = False
        self._flush()

    def _flush(self) -> None:
        """Pass the records that wait to the thread."""
        entries = self._entries
        if not entries:
            return
        self._entries = []
        try:
            piece = encode_piece(self._encode, _clock_shift_ns(), entries)
        except ValueError:
            log.exception("records of data collection cannot be encoded, and are dropped")
            self._writer.drop(ENCODE_FAILED, len(entries))
            return
        self._writer.put(piece, len(entries), len(piece))

    def _large_piece(self, entry: tuple[Any, ...]) -> bytes:
        """Return a record with the kept parts of its bodies; called in the writer's thread."""
        whole = Entry(*entry)
        body = whole.request if isinstance(whole.request, bytes) else b"".join(whole.request)
        request, request_sha256 = self._kept(body, whole.request_type, whole.request_bytes)
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


def _clock_shift_ns() -> int:
    """Return the time since the epoch at the origin of time.monotonic(), in nanoseconds."""
    return time.time_ns() - time.monotonic_ns()
