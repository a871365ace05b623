"""The records of a frame, as columns: a column of many records costs as much time as one record.

The numbers have the byte order of the machine: writers and readers share a pod.
"""

from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from struct import Struct
from typing import Any, Final, NamedTuple

from modelyard.scoring.spool.record import DRIVER, INFER, SCORE, SCORING, Record

KINDS: Final = (SCORE, INFER, DRIVER)
"""A record has the position of its kind."""

MAX_RECORDS: Final = 4096
"""Records of a frame. A record takes a KiB in memory, and a driver can make up records without content."""

_HEAD: Final = Struct("=6I")
"""Number of records, then bytes of: texts, requests, responses, digests of requests, digests of responses."""

_NUMBERS: Final = "QdHBQQIIBB"
"""Types of the columns of numbers (see `array`): answered_ns, seconds, status, kind, request_bytes,
response_bytes, kept bytes of request and response. The last two are 1 where there is a digest."""
_WIDTHS: Final = tuple(array(code).itemsize for code in _NUMBERS)

_SEPARATOR: Final = "\0"
"""Between the texts, which are encoded at once."""
_TEXTS: Final = 7
"""Columns of texts: name, request id, correlation id, trace id, method, request type, response type."""

_DIGEST_BYTES: Final = 32
_MAX_SECONDS: Final = 1e9


class BatchError(ValueError):
    """The bytes are no records."""


class Columns(NamedTuple):
    """Records as columns of the same length."""

    answered_ns: Sequence[int]
    """When the requests were answered, in nanoseconds since the epoch."""
    seconds: Sequence[float]
    """From the complete requests to their responses."""
    statuses: Sequence[int]
    kinds: Sequence[int]
    """Positions in KINDS."""
    request_bytes: Sequence[int]
    response_bytes: Sequence[int]
    texts: Sequence[str]
    """The columns of texts, each joined by join_texts(). An empty name is SCORING, and an empty correlation
    id is the request id."""
    requests: Sequence[bytes]
    """Kept bodies."""
    responses: Sequence[bytes]
    request_digests: Sequence[bytes]
    """Digests of the bodies, empty where the whole body is kept. No column at all is no digest."""
    response_digests: Sequence[bytes]


def join_texts(column: Sequence[str]) -> str:
    """Return a column of texts as one text. NUL becomes a blank."""
    text = _SEPARATOR.join(column)
    if text.count(_SEPARATOR) == len(column) - 1:
        return text
    return _SEPARATOR.join([part.replace(_SEPARATOR, " ") for part in column])


def no_texts(count: int) -> str:
    """Return a column of this many empty texts as one text."""
    return _SEPARATOR * (count - 1)


def encode_columns(columns: Columns) -> bytes:
    """Return the bytes of the records. A half surrogate pair becomes a question mark."""
    count = len(columns.statuses)
    text = _SEPARATOR.join(columns.texts).encode("utf-8", "replace")
    bodies = [b"".join(column) for column in columns[7:11]]
    no_digests = bytes(count)
    numbers: tuple[Sequence[Any], ...] = (
        *columns[:6],
        list(map(len, columns.requests)),
        list(map(len, columns.responses)),
        *(list(map(bool, column)) if column else no_digests for column in columns[9:11]),
    )
    arrays = [array(code, column).tobytes() for code, column in zip(_NUMBERS, numbers, strict=True)]
    head = _HEAD.pack(count, len(text), *map(len, bodies))
    return b"".join((head, *arrays, text, *bodies))


def encode_records(records: Sequence[Record]) -> bytes:
    """Return the bytes of the records."""
    return encode_columns(
        Columns(
            [record.time_ns + record.duration_us * 1000 for record in records],
            [record.duration_us / 1e6 for record in records],
            [record.status for record in records],
            [KINDS.index(record.kind) for record in records],
            [record.request_bytes for record in records],
            [record.response_bytes for record in records],
            [
                join_texts([record.name for record in records]),
                join_texts([record.request_id for record in records]),
                join_texts([record.correlation_id for record in records]),
                join_texts([record.trace_id for record in records]),
                join_texts([record.method for record in records]),
                join_texts([record.request_type for record in records]),
                join_texts([record.response_type for record in records]),
            ],
            [record.request for record in records],
            [record.response for record in records],
            [record.request_sha256 for record in records],
            [record.response_sha256 for record in records],
        )
    )


def decode_batch(payload: bytes) -> list[Record]:
    """Return the records of these bytes. Raises BatchError if they are no records.

    A driver can write any bytes. The records take as much memory as the bytes, and MAX_RECORDS KiB.
    """
    if len(payload) < _HEAD.size:
        raise BatchError(f"{len(payload)} bytes are too few for records")
    count, *sizes = _HEAD.unpack_from(payload)
    if not 0 < count <= MAX_RECORDS:
        raise BatchError(f"a frame has from 1 to {MAX_RECORDS} records, not {count}")
    lengths = [*(width * count for width in _WIDTHS), *sizes]
    if _HEAD.size + sum(lengths) != len(payload):
        raise BatchError("the lengths of the columns are not that of the frame")
    columns = _cut(payload, lengths, _HEAD.size)
    numbers = [_numbers(code, next(columns)) for code in _NUMBERS]
    texts = _texts(next(columns), count)
    requests, responses = (_bodies(next(columns), numbers[6 + i]) for i in range(2))
    request_digests, response_digests = (_digests(next(columns), numbers[8 + i]) for i in range(2))
    if not all(0 <= seconds < _MAX_SECONDS for seconds in numbers[1]):
        raise BatchError("a duration is no number of seconds")
    if max(numbers[3]) >= len(KINDS):
        raise BatchError("the kind of a record is unknown")
    fields = zip(*texts, *numbers[:6], requests, responses, request_digests, response_digests, strict=True)
    return [_record(*values) for values in fields]


def _record(
    name: str,
    request_id: str,
    correlation_id: str,
    trace_id: str,
    method: str,
    request_type: str,
    response_type: str,
    answered_ns: int,
    seconds: float,
    status: int,
    kind: int,
    request_bytes: int,
    response_bytes: int,
    *bodies: bytes,
) -> Record:
    return Record(
        max(0, answered_ns - round(seconds * 1e6) * 1000),
        name or SCORING,
        request_id,
        correlation_id or request_id,
        trace_id,
        method,
        KINDS[kind],
        status,
        round(seconds * 1e6),
        request_type,
        response_type,
        request_bytes,
        response_bytes,
        *bodies,
    )


def _numbers(code: str, column: bytes) -> "array[Any]":
    numbers: array[Any] = array(code)
    numbers.frombytes(column)
    return numbers


def _texts(column: bytes, count: int) -> list[list[str]]:
    """Return the columns of texts. Raises BatchError if there are more or fewer texts."""
    texts = column.decode("utf-8", "replace").split(_SEPARATOR, _TEXTS * count)
    if len(texts) != _TEXTS * count:
        raise BatchError(f"the frame has {len(texts)} texts, not {_TEXTS * count}")
    return [texts[start : start + count] for start in range(0, len(texts), count)]


def _bodies(column: bytes, lengths: Sequence[int]) -> list[bytes]:
    """Return the bodies. Raises BatchError if their lengths are not that of the column."""
    if sum(lengths) != len(column):
        raise BatchError("the lengths of the bodies are not that of the column")
    return list(_cut(column, lengths))


def _digests(column: bytes, marks: Sequence[int]) -> list[bytes]:
    if max(marks) > 1:
        raise BatchError("a mark of a digest is neither 0 nor 1")
    return _bodies(column, [_DIGEST_BYTES * mark for mark in marks])


def _cut(data: bytes, lengths: Sequence[int], start: int = 0) -> Iterator[bytes]:
    """Yield consecutive parts of these lengths."""
    ends = accumulate(lengths, initial=start)
    return (data[begin:end] for begin, end in pairwise(ends))
