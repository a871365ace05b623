"""The folders of collected rows, and the part of them that a command reads.

A file is at `modeldata/NAMESPACE/SERVICE/VERSION/NAME/YYYY/MM/DD/HH/FILE`, with the hour in UTC. NAME is the
collector: `scoring` for requests, or a name that the driver chose.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

ROOT: Final = "modeldata"
SCORING: Final = "scoring"
"""The collector of requests."""

_AGE: Final = re.compile(r"(\d{1,6})([mhd])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
_SEGMENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")


@dataclass(frozen=True)
class Window:
    """The rows of a namespace between two times. A field that is None stands for all its values."""

    namespace: str
    service: str | None = None
    version: str | None = None
    name: str | None = None
    start: dt.datetime | None = None
    """The first moment that belongs to the window, in UTC."""
    end: dt.datetime | None = None
    """The first moment after the window, in UTC."""

    @property
    def levels(self) -> tuple[str | None, ...]:
        """Return the folders above the year, from the namespace on."""
        return (self.namespace, self.service, self.version, self.name)

    def holds(self, time: dt.datetime | None) -> bool:
        """Return True if the window holds a row of this time. A row without a time is held."""
        if time is None:
            return True
        return (self.start is None or time >= self.start) and (self.end is None or time < self.end)

    def holds_hour(self, path: str) -> bool:
        """Return True if the hour in the path of a file overlaps the window."""
        try:
            year, month, day, hour = map(int, path.split("/")[-5:-1])
            begins = dt.datetime(year, month, day, hour, tzinfo=dt.UTC)
        except ValueError:
            return False
        ends = begins + dt.timedelta(hours=1)
        return (self.start is None or ends > self.start) and (self.end is None or begins < self.end)

    def day_folders(self) -> Iterator[str]:
        """Yield `YYYY/MM/DD` for each day, or one empty text if the window has no start."""
        if self.start is None:
            yield ""
            return
        day = self.start.date()
        last = (self.end or dt.datetime.now(dt.UTC)).date()
        while day <= last:
            yield f"{day:%Y/%m/%d}"
            day += dt.timedelta(days=1)


def segment(text: str) -> str:
    """Return the text if it can be one folder of a path. Raises ValueError otherwise."""
    if not _SEGMENT.fullmatch(text):
        raise ValueError(f"{text!r} is not a name: use letters, digits, '.', '_' and '-'")
    return text


def moment(text: str, now: dt.datetime) -> dt.datetime:
    """Return the time of a text in UTC: an age such as 30m, 24h or 7d, or a time of ISO 8601.

    A time without an offset is in UTC. Raises ValueError for other texts.
    """
    if match := _AGE.fullmatch(text):
        try:
            return now - dt.timedelta(**{_UNITS[match[2]]: int(match[1])})
        except OverflowError:
            raise ValueError(f"{text!r} is too long an age") from None
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither an age such as 24h nor a time such as 2026-11-30T08:00"
        ) from None
    return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)
