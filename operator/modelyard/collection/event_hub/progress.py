"""The state of each row of a batch on its way to the event hub."""

from __future__ import annotations

from collections import Counter
from enum import IntEnum

from modelyard.collection.sink import Delivered


class Mark(IntEnum):
    """The state of one row."""

    WAITING = 0
    QUEUED = 1
    DONE = 2


class Progress:
    """The rows of one batch by number. It outlives failed calls: an acknowledged row is sent once."""

    def __init__(self, batch: str) -> None:
        self.batch = batch
        """Name of the batch."""
        self.queued = 0
        """Rows without an answer of the broker."""
        self._marks = bytearray()
        self._rows = self._size = 0
        self._dropped: Counter[str] = Counter()

    def waits(self, number: int) -> bool:
        """Tell whether the row must be sent. Rows are asked for in order, from 0."""
        if number == len(self._marks):
            self._marks.append(Mark.WAITING)
        return self._marks[number] == Mark.WAITING

    def queue(self, number: int) -> None:
        """Note that the row was sent."""
        self._marks[number] = Mark.QUEUED
        self.queued += 1

    def acknowledge(self, number: int, size: int) -> None:
        """Note that the broker has the row of `size` bytes."""
        self._end(number, Mark.DONE)
        self._rows += 1
        self._size += size

    def drop(self, number: int, reason: str) -> None:
        """Note that the broker never accepts the row."""
        self._end(number, Mark.DONE)
        self._dropped[reason] += 1

    def send_again(self, number: int) -> None:
        """Note that the row was not accepted, and must be sent again."""
        self._end(number, Mark.WAITING)

    def send_all_again(self) -> None:
        """Note that the rows without an answer must be sent again: their producer has ended."""
        self._marks = self._marks.replace(bytes([Mark.QUEUED]), bytes([Mark.WAITING]))
        self.queued = 0

    @property
    def is_complete(self) -> bool:
        """Tell whether each row has its end: acknowledged or dropped."""
        return self._marks.count(Mark.DONE) == len(self._marks)

    def delivered(self) -> Delivered:
        """Return the result of the complete batch."""
        return Delivered(self._rows, self._size, dict(self._dropped))

    def _end(self, number: int, mark: Mark) -> None:
        if self._marks[number] == Mark.QUEUED:
            self.queued -= 1
        self._marks[number] = mark
