"""The phase of the scoring process: initialising, started, draining."""

import signal
import time
from dataclasses import dataclass, field
from typing import Final

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
"""Signals that start the drain and then end the process."""


@dataclass(slots=True)
class Lifecycle:
    """Set by the server and the queue, read by the endpoints, on the event loop only."""

    born_at: float = field(default_factory=time.monotonic)
    """When the process started (time.monotonic, seconds)."""
    started: bool = False
    """init() of some worker has succeeded once."""
    draining: bool = False
    """A stop signal has come: the process is not ready, and connections close after their response."""
    last_scoring_at: float = float("-inf")
    """When the latest /score request arrived (time.monotonic, seconds)."""

    def record_scoring(self) -> None:
        """Set the time of the latest /score request."""
        self.last_scoring_at = time.monotonic()
