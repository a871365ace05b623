"""The sums of a writer since its start, and their bytes."""

import json
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from modelyard.scoring.spool.record import MAX_INTEGER

BUFFER_FULL: Final = "buffer_full"
"""Reason: the queue before the writer's thread was full."""
SPOOL_FULL: Final = "spool_full"
"""Reason: the files of the spool have reached their limit, since the collector does not take them."""
WRITE_FAILED: Final = "write_failed"
"""Reason: the file system refused the batch, for example since the disk is full."""
ENCODE_FAILED: Final = "encode_failed"
"""Reason: an error of the runtime; the log has it."""

_REASON: Final = re.compile(r"[a-z][a-z_]{0,31}")
_MAX_REASONS: Final = 16


class CountsError(ValueError):
    """The bytes are no sums."""


class Counts(NamedTuple):
    """Sums since the start of the writer: answered = collected + sampled_out + the sum of dropped."""

    answered: int
    """Scored requests that were answered, or calls of collect() in a worker."""
    collected: int
    """Records in the files, those of this file included."""
    sampled_out: int
    """Records that the share of samples left out."""
    dropped: Mapping[str, int]
    """Records that could not be kept, by reason."""


def encode_counts(counts: Counts) -> bytes:
    """Return the bytes of the sums."""
    return json.dumps(counts._asdict(), separators=(",", ":")).encode()


def decode_counts(payload: bytes) -> Counts:
    """Return the sums of these bytes. Raises CountsError if they are no sums."""
    try:
        values = json.loads(payload)
        counts = Counts(**values)
    except (ValueError, TypeError, RecursionError):
        raise CountsError("the bytes are no JSON object with the sums of a writer") from None
    dropped = counts.dropped
    is_short = isinstance(dropped, dict) and len(dropped) <= _MAX_REASONS
    if not is_short or not all(map(_REASON.fullmatch, dropped)):
        raise CountsError("the reasons of the sums are no short list of words")
    numbers = [counts.answered, counts.collected, counts.sampled_out, *dropped.values()]
    if any(type(number) is not int or not 0 <= number <= MAX_INTEGER for number in numbers):
        raise CountsError("a sum is no whole number from 0 to 2^63-1")
    return counts
