"""Where the process is in its life: initialising, ready, draining."""

import time
from dataclasses import dataclass

from modelyard.scoring.driver import Driver


@dataclass(slots=True)
class Lifecycle:
    """Written by the server, asked by the app. Used on the event loop only."""

    driver: Driver | None = None
    """Set once init() has run."""
    draining: bool = False
    """SIGTERM has come: not ready any more, connections close after their answer."""
    last_scoring_at: float = float("-inf")
    """When the newest /score request came (time.monotonic)."""

    @property
    def ready(self) -> bool:
        """Whether new traffic may be sent here."""
        return self.driver is not None and not self.draining

    def scoring_came(self) -> None:
        self.last_scoring_at = time.monotonic()
