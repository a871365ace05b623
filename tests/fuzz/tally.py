"""The count of inputs, and the inputs that went wrong."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass, field
from typing import Final

_SHOWN: Final = 10
_SLOW_SECONDS: Final = 5.0


@dataclass
class Tally:
    """Counts of one run, and a line for each escape and crash."""

    inputs: int = 0
    escapes: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)

    def escape(self, text: object, reason: str) -> None:
        """Record an input that reached something that is out of its reach."""
        self.escapes.append(f"{reason}: {text!r:.500}")

    def crash(self, text: object, error: BaseException) -> None:
        """Record an input that led to an error without a code."""
        last = traceback.extract_tb(error.__traceback__)[-1:]
        place = f"{last[0].filename.rpartition('/')[2]}:{last[0].lineno}" if last else ""
        self.crashes.append(f"{type(error).__name__} {error!s:.200} {place}: {text!r:.500}")

    def check_time(self, text: object, started: float) -> None:
        """Record an input as a crash if it took more than 5 seconds of CPU time."""
        seconds = time.process_time() - started
        if seconds > _SLOW_SECONDS:
            self.crashes.append(f"{seconds:.1f} s: {text!r:.500}")

    def report(self) -> str:
        """Return the first errors and a last line with the counts."""
        lines = [f"escape: {line}" for line in self.escapes[:_SHOWN]]
        lines += [f"crash: {line}" for line in self.crashes[:_SHOWN]]
        counts = f"inputs={self.inputs} escapes={len(self.escapes)} crashes={len(self.crashes)}"
        return "\n".join([*lines, counts])
