"""Records of the bytes of a frame, for the collector. A driver can write any bytes."""

from collections.abc import Iterator
from typing import Annotated, Final

import msgspec

from modelyard.scoring.spool.batch import KINDS, LENGTH, MAX_RECORDS, BatchError
from modelyard.scoring.spool.bodies import kept_body
from modelyard.scoring.spool.record import SCORING, Record

_DIGEST_BYTES: Final = 32
_MAX_SECONDS: Final = 1e9
_MAX_INTEGER: Final = 2**63 - 1

_Seconds = Annotated[float, msgspec.Meta(ge=0, lt=_MAX_SECONDS)]
_Status = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
_Kind = Annotated[int, msgspec.Meta(ge=0, lt=len(KINDS))]
_Size = Annotated[int, msgspec.Meta(ge=0, le=_MAX_INTEGER)]
_Digest = Annotated[bytes, msgspec.Meta(max_length=_DIGEST_BYTES)]
_Entry = tuple[
    _Seconds, _Seconds, _Status, _Kind, _Size, _Size,
    str, str, str, str, str,
    bytes, bytes, bytes, bytes, _Digest, _Digest,
]  # fmt: skip
"""The types of batch.Entry."""
_Piece = tuple[_Size, Annotated[list[_Entry], msgspec.Meta(min_length=1, max_length=MAX_RECORDS)]]

_decode = msgspec.msgpack.Decoder(_Piece).decode


def decode_batch(payload: bytes) -> list[Record]:
    """Return the records of these bytes. Raises BatchError if they are no records.

    The records take as much memory as the bytes, and MAX_RECORDS KiB.
    """
    records: list[Record] = []
    for piece in _pieces(payload):
        try:
            shift_ns, entries = _decode(piece)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise BatchError(f"a piece is no array of records: {error}") from error
        if len(records) + len(entries) > MAX_RECORDS:
            raise BatchError(f"a frame has at most {MAX_RECORDS} records")
        records += [_record(shift_ns, *entry) for entry in entries]
    if not records:
        raise BatchError("a frame has one record at least")
    return records


def _pieces(payload: bytes) -> Iterator[bytes]:
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


def _record(
    shift_ns: int,
    arrived: float,
    seconds: float,
    status: int,
    kind: int,
    request_bytes: int,
    response_bytes: int,
    name: str,
    request_id: str,
    correlation_id: str,
    trace_id: str,
    method: str,
    request_type: bytes,
    response_type: bytes,
    request: bytes,
    response: bytes,
    request_sha256: bytes,
    response_sha256: bytes,
) -> Record:
    request_text, response_text = (
        request_type.decode("utf-8", "replace"),
        response_type.decode("utf-8", "replace"),
    )
    if not request_sha256:
        request, request_sha256 = kept_body(request, request_text, len(request), request_bytes)
    if not response_sha256:
        response, response_sha256 = kept_body(response, response_text, len(response), response_bytes)
    if len(request_sha256) % _DIGEST_BYTES or len(response_sha256) % _DIGEST_BYTES:
        raise BatchError("a digest has 32 bytes")
    return Record(
        shift_ns + int(arrived * 1e9),
        name or SCORING,
        request_id,
        correlation_id or request_id,
        trace_id,
        method,
        KINDS[kind],
        status,
        round(seconds * 1e6),
        request_text,
        response_text,
        request_bytes,
        response_bytes,
        request,
        response,
        request_sha256,
        response_sha256,
    )
