"""Records, and the frames that a collector would read."""

from __future__ import annotations

from pathlib import Path

from tests.support.spool import records_of

from modelyard.scoring.spool.counts import Counts
from modelyard.scoring.spool.folder import SEALED, open_regular, seal_abandoned, sealed
from modelyard.scoring.spool.reader import Frame, SegmentReader
from modelyard.scoring.spool.record import SCORE, SCORING, Record


def record(request_id: str = "a", request: bytes = b"[1]", response: bytes = b"[2]") -> Record:
    """Return a record of a scored request."""
    return Record(
        time_ns=1_764_468_000_000_000_000,
        name=SCORING,
        request_id=request_id,
        correlation_id=request_id,
        trace_id="0af7651916cd43dd8448eb211c80319c",
        method="POST",
        kind=SCORE,
        status=200,
        duration_us=1234,
        request_type="application/json",
        response_type="application/json; charset=utf-8",
        request_bytes=len(request),
        response_bytes=len(response),
        request=request,
        response=response,
        request_sha256=b"",
        response_sha256=b"",
    )


def frames(folder: Path) -> list[Frame]:
    """Return all frames of the folder in order, as a collector reads them."""
    seal_abandoned(folder)
    found = []
    for name in sealed(folder):
        with open_regular(folder / name.file(SEALED)) as file:
            found += list(SegmentReader(file))
    return found


def request_ids(folder: Path) -> list[str]:
    """Return the request ids of the records in the folder."""
    return [one.request_id for one in records(folder)]


def last_counts(folder: Path) -> Counts:
    """Return the last sums in the folder, of one writer."""
    return [frame.content for frame in frames(folder) if isinstance(frame.content, Counts)][-1]


def records(folder: Path) -> list[Record]:
    """Return the records in the folder."""
    return [one for frame in frames(folder) for one in records_of(frame)]
