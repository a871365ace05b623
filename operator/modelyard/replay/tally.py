"""The figures of a replay, in bounded memory: counts, columns, distributions and some examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from modelyard.replay.comparison import Difference
from modelyard.replay.distribution import Distribution

_MAX_COLUMNS: Final = 1000
_OTHER_COLUMNS: Final = "(other columns)"
_MAX_EXAMPLES: Final = 20


@dataclass
class Column:
    """The differences of a column."""

    rows: int = 0
    """Rows with a difference in the column."""
    values: int = 0
    """Values that differ; a row has several in a column such as `[*]`."""
    numbers: int = 0
    total: float = 0.0
    """The sum of the distances of numbers."""
    largest: float = 0.0

    def add(self, difference: Difference) -> None:
        """Count a difference."""
        self.values += 1
        if difference.size is not None:
            self.numbers += 1
            self.total += difference.size
            self.largest = max(self.largest, difference.size)

    @property
    def mean(self) -> float | None:
        """Return the mean distance of the numbers that differ, None without such numbers."""
        return self.total / self.numbers if self.numbers else None


@dataclass(frozen=True)
class Example:
    """One difference of one request."""

    request_id: str
    difference: Difference


@dataclass
class Tally:
    """The figures of a replay."""

    rows: int = 0
    equal: int = 0
    different: int = 0
    unanswered: Counter[str] = field(default_factory=Counter)
    """Requests without a usable response, by reason."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Rows that made no request, by reason."""
    statuses: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Changed statuses: the collected one, and the one of now."""
    columns: dict[str, Column] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)
    retries: int = 0
    before: Distribution = field(default_factory=Distribution)
    now: Distribution = field(default_factory=Distribution)

    @property
    def answered(self) -> int:
        """Return the number of compared rows."""
        return self.equal + self.different

    @property
    def failures(self) -> int:
        """Return the number of rows that differ or have no response."""
        return self.different + self.unanswered.total()

    def add_response(
        self, request_id: str, statuses: tuple[int, int], differences: Iterable[Difference]
    ) -> None:
        """Count the response to a request."""
        differs = statuses[0] != statuses[1]
        if differs:
            self.statuses[statuses] += 1
        seen = set()
        for difference in differences:
            differs = True
            name, column = self._column(difference.column)
            column.add(difference)
            if name not in seen:
                seen.add(name)
                column.rows += 1
                if len(self.examples) < _MAX_EXAMPLES:
                    self.examples.append(Example(request_id, difference))
        if differs:
            self.different += 1
        else:
            self.equal += 1

    def _column(self, name: str) -> tuple[str, Column]:
        if name not in self.columns and len(self.columns) >= _MAX_COLUMNS:
            name = _OTHER_COLUMNS
        return name, self.columns.setdefault(name, Column())
