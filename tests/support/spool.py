"""Records in the bytes of the spool."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from modelyard.scoring.spool import batch
from modelyard.scoring.spool.batch import KINDS, Entry
from modelyard.scoring.spool.batch_reader import Piece, decode_batch
from modelyard.scoring.spool.reader import Frame
from modelyard.scoring.spool.record import SCORING, Record


def encode_records(records: Iterable[Record]) -> bytes:
    """Return the bytes of the records, as the front and the workers write them."""
    return batch.encode_records(msgspec.msgpack.encode, records)


def decode_records(payload: bytes) -> list[Record]:
    """Return the records of these bytes. Raises BatchError if they are no records."""
    return _records(decode_batch(payload))


def records_of(frame: Frame) -> list[Record]:
    """Return the records of a frame, none for other frames."""
    return _records(frame.content) if isinstance(frame.content, list) else []


def _records(pieces: Iterable[Piece]) -> list[Record]:
    return [_record(piece.shift_ns, Entry(*entry)) for piece in pieces for entry in piece.entries]


def _record(shift_ns: int, entry: Entry) -> Record:
    return Record(
        shift_ns + int(entry.arrived * 1e9),
        entry.name or SCORING,
        entry.request_id,
        entry.correlation_id or entry.request_id,
        entry.trace_id,
        entry.method,
        KINDS[entry.kind],
        entry.status,
        round(entry.seconds * 1e6),
        entry.request_type.decode("utf-8", "replace"),
        entry.response_type.decode("utf-8", "replace"),
        entry.request_bytes,
        entry.response_bytes,
        entry.request,
        entry.response,
        entry.request_sha256,
        entry.response_sha256,
    )
