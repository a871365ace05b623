"""The frames of a segment: a payload with its length, checksum, number and kind."""

import zlib
from struct import Struct
from typing import Final

RECORD: Final = 1
"""Kind: the payload is a record."""
COUNTS: Final = 2
"""Kind: the payload is the writer's sums."""

CHECKSUM: Final = Struct("<I")
"""CRC-32 of all that follows in the frame."""
HEAD: Final = Struct("<IQB")
"""Bytes of payload, number of the frame, kind."""
HEADER_BYTES: Final = CHECKSUM.size + HEAD.size

MAX_PAYLOAD_BYTES: Final = 4 * 1024 * 1024
"""A longer payload is no frame: a record has two bodies of at most 1 MiB, and names."""


def pack_frame(sequence: int, kind: int, payload: bytes) -> bytes:
    """Return the bytes of a frame."""
    head = HEAD.pack(len(payload), sequence, kind)
    return b"".join((CHECKSUM.pack(zlib.crc32(payload, zlib.crc32(head))), head, payload))
