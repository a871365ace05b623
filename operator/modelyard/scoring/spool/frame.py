"""The frames of a segment: a payload with its length, checksum, numbers and kind."""

import zlib
from struct import Struct
from typing import Final

RECORDS: Final = 1
"""Kind: the payload has records."""
COUNTS: Final = 2
"""Kind: the payload is the writer's sums."""
DECLARED: Final = 3
"""Kind: the payload is the declared columns of the records that follow in the segment. It takes no number."""

CHECKSUM: Final = Struct("<I")
"""CRC-32 of all that follows in the frame."""
HEAD: Final = Struct("<IQB")
"""Bytes of payload, number of the first record or of the sums, kind."""
HEADER_BYTES: Final = CHECKSUM.size + HEAD.size

MAX_PAYLOAD_BYTES: Final = 4 * 1024 * 1024
"""A longer payload is no frame: records of 1 MiB have at most one more, with two bodies of at most 1 MiB."""


def pack_frame(sequence: int, kind: int, payload: bytes) -> bytes:
    """Return the bytes of a frame."""
    head = HEAD.pack(len(payload), sequence, kind)
    return b"".join((CHECKSUM.pack(zlib.crc32(payload, zlib.crc32(head))), head, payload))
