"""The entries in the bytes of a frame, for the collector. A driver can write any bytes."""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Annotated, Final, NamedTuple

import msgspec

from modelyard.scoring.spool.batch import KINDS, LENGTH, MAX_RECORDS, BatchError
from modelyard.scoring.spool.record import MAX_INTEGER

_DIGEST_BYTES: Final = 32
_MAX_SECONDS: Final = 1e9

_Seconds = Annotated[float, msgspec.Meta(ge=0, lt=_MAX_SECONDS)]
_Status = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
_Kind = Annotated[int, msgspec.Meta(ge=0, lt=len(KINDS))]
_Size = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
_Digest = Annotated[bytes, msgspec.Meta(max_length=_DIGEST_BYTES)]
ReadEntry = tuple[
    _Seconds, _Seconds, _Status, _Kind, _Size, _Size,
    str, str, str, str, str,
    bytes, bytes, bytes, bytes, _Digest, _Digest,
]  # fmt: skip
"""The values of batch.Entry, within their bounds. A time is before the year 2300."""


class Piece(NamedTuple):
    """A piece of a frame, see `batch`."""

    shift_ns: int
    entries: Sequence[ReadEntry]


_Entries = Annotated[list[ReadEntry], msgspec.Meta(min_length=1, max_length=MAX_RECORDS)]
_decode = msgspec.msgpack.Decoder(tuple[_Size, _Entries]).decode
_request_digest, _response_digest = itemgetter(-2), itemgetter(-1)


def decode_batch(payload: bytes) -> list[Piece]:
    """Return the pieces of these bytes. Raises BatchError if they are no records.

    They have MAX_RECORDS entries at most, which take as much memory as the bytes, and MAX_RECORDS KiB.
    """
    pieces: list[Piece] = []
    records = 0
    for array in _arrays(payload):
        try:
            piece = Piece(*_decode(array))
        except (msgspec.MsgspecError, RecursionError) as error:
            raise BatchError(f"a piece is no array of records: {error}") from error
        records += len(piece.entries)
        if records > MAX_RECORDS:
            raise BatchError(f"a frame has at most {MAX_RECORDS} records")
        _check_digests(piece.entries)
        pieces.append(piece)
    if not pieces:
        raise BatchError("a frame has one record at least")
    return pieces


def _check_digests(entries: Sequence[ReadEntry]) -> None:
    """Raise BatchError for a digest of another length. Most records have the same one, none."""
    digests = {*map(_request_digest, entries), *map(_response_digest, entries)}
    if any(len(digest) % _DIGEST_BYTES for digest in digests):
        raise BatchError("a digest has 32 bytes")


def _arrays(payload: bytes) -> Iterator[bytes]:
    """Yield the arrays. Raises BatchError if their lengths are not that of the payload."""
    start = 0
    while start < len(payload):
        begin = start + LENGTH.size
        if begin > len(payload):
            raise BatchError("the length of a piece is cut")
        start = begin + LENGTH.unpack_from(payload, start)[0]
        if start > len(payload):
            raise BatchError("a piece is longer than the frame")
        yield payload[begin:start]
