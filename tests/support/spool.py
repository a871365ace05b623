"""Records in the bytes of the spool."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from modelyard.scoring.spool import batch
from modelyard.scoring.spool.record import Record


def encode_records(records: Iterable[Record]) -> bytes:
    """Return the bytes of the records, as the front and the workers write them."""
    return batch.encode_records(msgspec.msgpack.encode, records)
