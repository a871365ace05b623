"""A batch: the rows of some segments, read from the disk each time."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from modelyard.collection.row import Row
from modelyard.collection.tally import Tally, WriterCursor, WriterKey, writer_of
from modelyard.scoring.spool.batch_reader import Piece
from modelyard.scoring.spool.counts import Counts
from modelyard.scoring.spool.folder import SEALED, SegmentName, open_regular
from modelyard.scoring.spool.reader import SegmentReader

_UNREADABLE: Final = (None, errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ELOOP, errno.ENXIO)
"""Errors of files that a driver has deleted or replaced. The first one is that of open_regular()."""


class SegmentBatch:
    """The rows of some segments, and the count of their frames. See sink.Batch."""

    def __init__(
        self,
        name: str,
        folder: Path,
        segments: Sequence[SegmentName],
        cursors: Mapping[WriterKey, WriterCursor],
        rows_of: Callable[[Iterable[Piece], bytes], Iterator[Row]],
    ) -> None:
        """`cursors` are those of the sink before the batch. `rows_of` gets the declared columns, too."""
        self._name = name
        self._folder = folder
        self._segments = segments
        self._cursors = cursors
        self._rows_of = rows_of
        self._tally: Tally | None = None

    @property
    def name(self) -> str:
        """Return a name that no other batch of any pod has; the same after a kill."""
        return self._name

    def rows(self) -> Iterator[Row]:
        """Read the rows from the disk, see sink.Batch."""
        tally = Tally(self._cursors)
        for name in self._segments:
            for pieces, declared in self._records_of(name, tally):
                yield from self._rows_of(pieces, declared)
        self._tally = tally

    def tally(self) -> Tally:
        """Return the count of the frames, from the last reading that came to the end. Raises OSError."""
        if self._tally is None:
            tally = Tally(self._cursors)
            for name in self._segments:
                for _ in self._records_of(name, tally):
                    pass
            self._tally = tally
        return self._tally

    def _records_of(self, name: SegmentName, tally: Tally) -> Iterator[tuple[Sequence[Piece], bytes]]:
        """Yield the records of each frame of a segment, with their declared columns.

        A file that a driver has deleted or replaced counts by its gap.
        """
        writer = writer_of(name)
        expected = tally.cursor(writer).sequence
        try:
            file = open_regular(self._folder / name.file(SEALED))
        except OSError as error:
            if error.errno not in _UNREADABLE:
                raise
            tally.end(name, expected, records=0, torn=0, malformed=0)
            return
        with file:
            reader = SegmentReader(file)
            records = 0
            for sequence, numbers, _, content in reader:
                is_next = sequence == expected
                expected = sequence + numbers if is_next else tally.gap(expected, sequence, numbers)
                if isinstance(content, Counts):
                    tally.counts(writer, content)
                elif content is not None:
                    records += numbers
                    yield content, reader.declared
        tally.end(name, expected, records=records, torn=reader.torn, malformed=reader.malformed)
