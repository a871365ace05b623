"""The records of a frame: pieces, each of them the records that one call has encoded.

A piece is the length of a MessagePack array (4 bytes) and the array: `[shift_ns, [entry, ...]]`. An entry has
the values as the writer has them. The writer converts nothing, and the reader makes records of them.
"""

from collections.abc import Callable, Iterable, Sequence
from struct import Struct
from typing import Any, Final, NamedTuple

from modelyard.scoring.spool.record import DRIVER, INFER, SCORE, Record

KINDS: Final = (SCORE, INFER, DRIVER)
"""An entry has the position of its kind."""

MAX_RECORDS: Final = 4096
"""Records of a frame. A record takes a KiB in memory, and a driver can make up records without content."""

LENGTH: Final = Struct("<I")
"""Bytes of the array of a piece."""

Encode = Callable[[Any], bytes]
"""The encode() of an encoder of MessagePack. This package runs beside drivers, and imports none."""


class Entry(NamedTuple):
    """The values of a record. The front makes plain tuples of them: a NamedTuple takes four times as long."""

    arrived: float
    """Seconds: with `shift_ns` of the piece the time of the request, of which it is time.monotonic()."""
    seconds: float
    """From the complete request to its response."""
    status: int
    kind: int
    """Position in KINDS."""
    request_bytes: int
    response_bytes: int
    name: str
    """Empty for SCORING."""
    request_id: str
    correlation_id: str
    """Empty for the request id."""
    trace_id: str
    method: str
    request_type: bytes
    response_type: bytes
    request: bytes
    """A whole body, or with a digest the part that a record keeps. See Record."""
    response: bytes
    request_sha256: bytes
    response_sha256: bytes


class BatchError(ValueError):
    """The bytes are no records."""


def encode_piece(encode: Encode, shift_ns: int, entries: Sequence[tuple[Any, ...]]) -> bytes:
    """Return the bytes of a piece. Raises ValueError for a text with a half surrogate pair.

    `shift_ns` is the time since the epoch at the origin of `arrived`, in nanoseconds.
    """
    array = encode((shift_ns, entries))
    return LENGTH.pack(len(array)) + array


def encode_records(encode: Encode, records: Iterable[Record]) -> bytes:
    """Return the bytes of the records, a piece for each. NUL and half surrogate pairs are replaced."""
    return b"".join([_encode_record(encode, record) for record in records])


def _encode_record(encode: Encode, record: Record) -> bytes:
    entry = Entry(
        0.0,
        record.duration_us / 1e6,
        record.status,
        KINDS.index(record.kind),
        record.request_bytes,
        record.response_bytes,
        _plain(record.name),
        _plain(record.request_id),
        _plain(record.correlation_id),
        _plain(record.trace_id),
        _plain(record.method),
        record.request_type.encode("utf-8", "replace"),
        record.response_type.encode("utf-8", "replace"),
        record.request,
        record.response,
        record.request_sha256,
        record.response_sha256,
    )
    return encode_piece(encode, record.time_ns, [entry])


def _plain(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\0", " ")
