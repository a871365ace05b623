"""Where the process is in its life: initialising, ready, draining."""

import signal
import time
from dataclasses import dataclass, field
from typing import Final

ENDING: Final = (signal.SIGTERM, signal.SIGINT)
"""Signals that ask for the end, after a drain."""


@dataclass(slots=True)
class Lifecycle:
    """Written by the server, asked by the endpoints. Used on the event loop only."""

    born_at: float = field(default_factory=time.monotonic)
    started: bool = False
    """Some worker's init() has run once."""
    draining: bool = False
    """SIGTERM has come: not ready any more, connections close after their answer."""
    last_scoring_at: float = float("-inf")
    """When the newest /score request came (time.monotonic)."""

    def scoring_came(self) -> None:
        self.last_scoring_at = time.monotonic()
