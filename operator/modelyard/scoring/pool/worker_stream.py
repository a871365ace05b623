"""The front's end of one stream of a worker: acknowledgement of its bytes, and its end."""

from __future__ import annotations

from mmap import mmap

from modelyard.scoring.frames import FLOW, PROGRESS, SLOT


class WorkerStream:
    """Flow control of one streamed result, in the slot of the worker's thread that makes the stream."""

    def __init__(self, progress: mmap, slot: int, number: int) -> None:
        self._progress = progress
        self._offset = slot * SLOT.size + PROGRESS.size
        self._number = number
        # All bytes of the thread's earlier streams are acknowledged.
        self._received, self._closed = FLOW.unpack_from(progress, self._offset)

    def receive(self, size: int) -> None:
        """Count the bytes of a piece."""
        self._received += size

    def acknowledge(self) -> None:
        """Let the worker send more: all received bytes are with the client, or dropped."""
        FLOW.pack_into(self._progress, self._offset, self._received, self._closed)

    def cancel(self) -> None:
        """Make the worker close the driver's iterator before its next piece."""
        self._closed = self._number
        self.acknowledge()
