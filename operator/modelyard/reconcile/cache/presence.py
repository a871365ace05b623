"""The times of the next looks at built images in the registry, in memory only."""

from __future__ import annotations

import datetime as dt
import zlib
from typing import NamedTuple

from modelyard.kube.types import Key


class PresenceLook(NamedTuple):
    """The next look at the images of an Image, and the versions that the last look did not find."""

    due: dt.datetime
    absent: frozenset[int] = frozenset()


class PresenceLooks:
    """The next look at each Image. A restart spreads the looks over one period."""

    def __init__(self) -> None:
        self._looks: dict[Key, PresenceLook] = {}

    def of(self, image: Key, now: dt.datetime, period: float, *, at_once: bool) -> PresenceLook:
        """Return the next look at an Image. The first one is at a time that differs from Image to Image."""
        look = self._looks.get(image)
        if look is None:
            share = 0.0 if at_once else zlib.crc32(str(image).encode()) / 2**32
            look = self._looks[image] = PresenceLook(now + dt.timedelta(seconds=share * period))
        return look

    def put(self, image: Key, due: dt.datetime, absent: frozenset[int] = frozenset()) -> None:
        """Store the next look at an Image."""
        self._looks[image] = PresenceLook(due, absent)

    def forget(self, image: Key) -> None:
        """Drop the look at a deleted Image."""
        self._looks.pop(image, None)
