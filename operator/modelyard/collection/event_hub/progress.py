"""The state of each row of a batch on its way to the event hub."""

from __future__ import annotations

from collections import Counter
from typing import Final

from modelyard.collection.sink import Delivered

_WAITING: Final = 0
_QUEUED: Final = 1
_DONE: Final = 2
"""Marks of a row. They are plain numbers, since a member of an Enum takes longer to look up."""


class Progress:
    """The rows of one batch by number. It outlives failed calls: an acknowledged row is sent once."""

    def __init__(self, batch: str) -> None:
        self.batch = batch
        """Name of the batch."""
        self._marks = bytearray()
        self._size = 0
        self._dropped: Counter[str] = Counter()

    def waits(self, number: int) -> bool:
        """Tell whether the row must be sent. Rows are asked for in order, from 0."""
        marks = self._marks
        if number == len(marks):
            marks.append(_WAITING)
            return True
        return marks[number] == _WAITING

    def queue(self, number: int) -> None:
        """Note that the row was sent."""
        self._marks[number] = _QUEUED

    def acknowledge(self, number: int, size: int) -> None:
        """Note that the broker has the row of `size` bytes."""
        self._marks[number] = _DONE
        self._size += size

    def drop(self, number: int, reason: str) -> None:
        """Note that the broker never accepts the row."""
        self._marks[number] = _DONE
        self._dropped[reason] += 1

    def send_again(self, number: int) -> None:
        """Note that the row was not accepted, and must be sent again."""
        self._marks[number] = _WAITING

    def send_all_again(self) -> None:
        """Note that the rows without an answer must be sent again: their producer has ended."""
        self._marks = self._marks.replace(bytes([_QUEUED]), bytes([_WAITING]))

    @property
    def has_queued(self) -> bool:
        """Tell whether there are rows without an answer of the broker."""
        return _QUEUED in self._marks

    @property
    def is_complete(self) -> bool:
        """Tell whether each row has its end: acknowledged or dropped."""
        return self._marks.count(_DONE) == len(self._marks)

    def delivered(self) -> Delivered:
        """Return the result of the complete batch."""
        dropped = dict(self._dropped)
        return Delivered(len(self._marks) - sum(dropped.values()), self._size, dropped)
