"""Makes a record of each answered request: the event loop notes its parts, and a thread does the rest."""

from __future__ import annotations

import time
from collections.abc import Sequence
from operator import sub
from typing import Any, Final

from modelyard.scoring.frames import INFER
from modelyard.scoring.front.messages import HttpResponse, QueuedRequest
from modelyard.scoring.front.request_queue import OVERLOADED
from modelyard.scoring.front.response_stream import ResponseStream
from modelyard.scoring.front.telemetry import parse_traceparent
from modelyard.scoring.spool import record
from modelyard.scoring.spool.batch import KINDS, Columns, encode_columns, join_texts, no_texts
from modelyard.scoring.spool.bodies import kept_bodies
from modelyard.scoring.spool.counts import Counts
from modelyard.scoring.spool.declared import MAX_BYTES
from modelyard.scoring.spool.sampling import is_sample
from modelyard.scoring.spool.segment_writer import SegmentWriter
from modelyard.scoring.spool.settings import CollectionSettings
from modelyard.scoring.spool.spool_writer import ITEM_BYTES, SpoolWriter

WRITER: Final = "front"
"""The name of the front's files in the spool."""

CLOSE_SECONDS: Final = 5.0
"""The longest wait for the disk at the end of the process."""

MAX_TYPE_BYTES: Final = 256
"""Bytes of a media type that a record keeps; RFC 6838 allows 127 for each of its two names."""

_FIELDS: Final = 14
_SCORE: Final = KINDS.index(record.SCORE)
_INFER: Final = KINDS.index(record.INFER)


class RequestCollector:
    """Collects the requests of one front. Used on the event loop."""

    def __init__(self, settings: CollectionSettings) -> None:
        self._percent = settings.sample_percent
        self.body_bytes = settings.body_bytes
        """How many bytes of a body a record has at most."""
        self._segments = SegmentWriter(settings.folder, WRITER, settings.spool_bytes)
        self._writer = SpoolWriter(self._segments, _FIELDS, self._encode)

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
        self._writer.put(
            (
                ITEM_BYTES + size + held_bytes,
                answered_at,
                queued.arrived_at,
                status,
                queued.flags,
                size,
                response_bytes,
                request.request_id,
                headers.get(b"traceparent", b"") if span is None else span.trace_id,
                request.method,
                headers.get(b"content-type", b""),
                content_type,
                chunks[0] if len(chunks) == 1 else chunks,
                response,
            )
        )

    def _encode(self, columns: Sequence[Sequence[Any]]) -> bytes:
        """Return the bytes of a batch; called in the writer's thread."""
        answered_at, arrived_at, statuses, flags, request_bytes, response_bytes = columns[:6]
        request_ids, traces, methods, request_types, response_types, bodies, beginnings = columns[6:]
        count = len(statuses)
        shift_ns = time.time_ns() - time.monotonic_ns()
        request_types, response_types = _decoded(request_types), _decoded(response_types)
        requests, responses = _joined(bodies), _joined(beginnings)
        kept_requests, request_digests = kept_bodies(requests, request_types, self.body_bytes)
        kept_responses, response_digests = kept_bodies(responses, response_types, self.body_bytes)
        if response_digests:  # the digest of a stream's beginning is not that of the stream
            sizes = zip(response_digests, responses, response_bytes, strict=True)
            response_digests = [digest if len(body) == size else b"" for digest, body, size in sizes]
        return encode_columns(
            Columns(
                [shift_ns + int(at * 1e9) for at in answered_at],
                list(map(sub, answered_at, arrived_at)),
                statuses,
                [_INFER if flag & INFER else _SCORE for flag in flags] if any(flags) else bytes(count),
                request_bytes,
                response_bytes,
                [
                    no_texts(count),
                    join_texts(request_ids),
                    no_texts(count),
                    join_texts([_trace_id(trace) for trace in traces]) if any(traces) else no_texts(count),
                    join_texts(methods),
                    join_texts(request_types),
                    join_texts(response_types),
                ],
                kept_requests,
                kept_responses,
                request_digests,
                response_digests,
            )
        )


def _joined(bodies: Sequence[Any]) -> Sequence[bytes]:
    """Return each body as one piece. The usual batch has no body in pieces."""
    if set(map(type, bodies)) == {bytes}:
        return bodies
    return [body if isinstance(body, bytes) else b"".join(body) for body in bodies]


def _decoded(media_types: Sequence[bytes]) -> list[str]:
    """Return media types as texts. A batch has few different ones."""
    names = {name: name[:MAX_TYPE_BYTES].decode("latin-1") for name in set(media_types)}
    if len(names) == 1:
        return [*names.values()] * len(media_types)
    return [names[name] for name in media_types]


def _trace_id(trace: str | bytes) -> str:
    """Return the trace id of a span, or of a request's traceparent header; empty if it is invalid."""
    return trace if isinstance(trace, str) else parse_traceparent(trace)[0]
