"""The interface of a sink: storage or event hub."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from modelyard.collection.row import Row


class Trouble(StrEnum):
    """The kinds of failures of a sink. A reason of the state is the sink and the kind: `StorageRefused`."""

    REFUSED = "Refused"
    """The service answers, and does not accept the rows: rights, bucket, topic."""
    UNAVAILABLE = "Unavailable"
    """The service does not answer, or answers that it does not work now."""
    NOT_CONFIGURED = "NotConfigured"
    """No address, or keys of the Secret that do not fit together."""


class SinkError(Exception):
    """A batch was not delivered. The same batch follows after a wait, without an end."""

    def __init__(self, trouble: Trouble, message: str) -> None:
        """`message` is a sentence without credentials: field or object, problem, way out."""
        super().__init__(message)
        self.trouble = trouble
        self.message = message


@dataclass(frozen=True)
class Delivered:
    """The result of a batch that the sink has accepted as a whole."""

    rows: int
    """Rows that the sink has."""
    size: int
    """Bytes that were sent."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Rows that the sink will never accept, by reason: `too_large`. Each row of a batch counts once."""


class Batch(Protocol):
    """Rows of some segments, which never change: each read returns the same rows."""

    @property
    def name(self) -> str:
        """Return a name that no other batch of any pod has; the same after a kill."""

    def rows(self) -> Iterator[Row]:
        """Read the rows from the disk, one at a time. A sink holds few of them in memory.

        Raises OSError if the disk fails: a sink passes it on.
        """


@dataclass(frozen=True)
class BatchLimits:
    """When a batch is complete: at the first limit. A batch has at least one segment of up to 8 MiB."""

    seconds: float
    """Age of the oldest record; 0 takes a segment as soon as the writer has completed it."""
    size: int
    """Bytes of the segments."""
    segments: int
    """Number of segments."""


class Sink(Protocol):
    """Delivers batches to one service. One thread calls all methods."""

    def deliver(self, batch: Batch) -> Delivered:
        """Deliver all rows of a batch, and return when the service has them durably.

        A batch may come again after a kill, with rows that the service has. The call ends within minutes: it
        has a time-out, and no retry of its own that lasts longer. Raises SinkError and OSError.
        """

    def close(self) -> None:
        """Close connections at once; never raises. A change of the Secret makes another sink."""
