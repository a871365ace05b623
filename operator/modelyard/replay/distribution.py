"""Distributions of positive numbers in bounded memory."""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

_GROWTH: Final = 1.02
"""Each bucket is 2 % wider than the one below, so a percentile is exact to 1 %."""
_SMALLEST: Final = 1e-6


class Distribution:
    """Counts of durations in seconds, in buckets of growing width."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0

    def add(self, value: float) -> None:
        """Count a value. One below a microsecond counts as a microsecond."""
        self._buckets[round(math.log(max(value, _SMALLEST), _GROWTH))] += 1
        self.count += 1

    def percentile(self, share: float) -> float | None:
        """Return the value that a share of all values, from 0 to 1, does not exceed; None without values."""
        wanted = math.ceil(share * self.count)
        for value, reached in self.steps():
            if reached >= wanted:
                return value
        return None

    def steps(self) -> list[tuple[float, int]]:
        """Return pairs of a value and the number of values up to it, in ascending order."""
        found = []
        reached = 0
        for bucket in sorted(self._buckets):
            reached += self._buckets[bucket]
            found.append((_GROWTH**bucket, reached))
        return found
