"""The frames of a segment, for the collector. A driver can write any bytes into a file of the spool."""

import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from modelyard.scoring.spool.batch import BatchError
from modelyard.scoring.spool.batch_reader import Piece, decode_batch
from modelyard.scoring.spool.counts import Counts, CountsError, decode_counts
from modelyard.scoring.spool.declared import MAX_BYTES
from modelyard.scoring.spool.frame import (
    CHECKSUM,
    COUNTS,
    DECLARED,
    HEAD,
    HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    RECORDS,
)


class Frame(NamedTuple):
    """The records or the sums of a writer, in a whole frame of a segment."""

    sequence: int
    """Number of the first record, or of the sums; it grows by one over all segments of a writer, from 0."""
    numbers: int
    """How many it takes: one for each record, or one for the sums."""
    end: int
    """Offset of the first byte after the frame."""
    content: Sequence[Piece] | Counts | None
    """The records or the sums; None for a kind of a later release, or for checked bytes without records."""


class SegmentReader:
    """Reads the frames of one segment up to its end, or up to the first torn frame.

    It holds one frame in memory, of at most MAX_PAYLOAD_BYTES.
    """

    def __init__(self, file: BinaryIO, offset: int = 0) -> None:
        """`file` is open for reading in binary mode, `offset` is the end of the last frame that is done."""
        self._file = file
        self._offset = offset
        self.declared = b""
        """The declared columns of the records that come next, see `declared`."""
        self.torn = 0
        """1 if the file ends in the middle of a frame, or a frame is changed; set after the last frame."""
        self.malformed = 0
        """Frames whose checksum is right, but whose bytes are no records: a driver wrote them."""

    def __iter__(self) -> Iterator[Frame]:
        """Return the whole frames with numbers. Raises OSError if the file cannot be read."""
        self._file.seek(self._offset)
        while header := self._file.read(HEADER_BYTES):
            payload = self._payload(header)
            if payload is None:
                self.torn = 1
                return
            self._offset += HEADER_BYTES + len(payload)
            _, sequence, kind = HEAD.unpack_from(header, CHECKSUM.size)
            if kind == DECLARED:
                self.declared = payload if len(payload) <= MAX_BYTES else b""
                continue
            content = self._content(kind, payload)
            numbers = sum(len(piece.entries) for piece in content) if isinstance(content, list) else 1
            yield Frame(sequence, numbers, self._offset, content)

    def _payload(self, header: bytes) -> bytes | None:
        """Return the payload of the frame with this header; None if the frame is torn."""
        if len(header) < HEADER_BYTES:
            return None
        length, _, _ = HEAD.unpack_from(header, CHECKSUM.size)
        if length > MAX_PAYLOAD_BYTES:
            return None
        payload = self._file.read(length)
        (checksum,) = CHECKSUM.unpack_from(header)
        if len(payload) < length or zlib.crc32(payload, zlib.crc32(header[CHECKSUM.size :])) != checksum:
            return None
        return payload

    def _content(self, kind: int, payload: bytes) -> list[Piece] | Counts | None:
        try:
            if kind == RECORDS:
                return decode_batch(payload)
            if kind == COUNTS:
                return decode_counts(payload)
        except (BatchError, CountsError):
            self.malformed += 1
        return None
