"""The log of a build as people read it: each line with its step, none with a credential."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Iterable
from copy import copy
from typing import Final, TextIO

from modelyard.contract.build_request import Step
from modelyard.redaction import redact_text

_TAIL_LINES: Final = 15
_SHORTEST_SECRET: Final = 4  # shorter ones are part of half the words there are
_CONTROLS: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


class BuildLog:
    """Writes lines as `[Step] text` and keeps the last ones for the result. Safe for threads."""

    def __init__(self, out: TextIO, secrets: Iterable[str] = ()) -> None:
        self._out = out
        self._secrets = sorted(
            {text for text in secrets if len(text) >= _SHORTEST_SECRET}, key=len, reverse=True
        )
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._lock = threading.Lock()
        self.step = Step.FETCH

    def enter(self, step: Step) -> None:
        """From here on, lines and failures are of this step."""
        self.step = step

    def write(self, text: str) -> None:
        """One or more lines; colours of terminals and empty lines are dropped."""
        with self._lock:
            for line in self.clean(text):
                self._tail.append(line)
                self._out.write(f"[{self.step}] {line}\n")
            self._out.flush()

    def for_step(self, step: Step) -> BuildLog:
        """The same log for what goes on beside the step that it is at."""
        log = copy(self)
        log.step = step
        return log

    def clean(self, text: str) -> list[str]:
        """The lines as they are logged."""
        lines = (self.redact(_CONTROLS.sub("", line)).rstrip() for line in text.splitlines())
        return [line for line in lines if line]

    def redact(self, text: str) -> str:
        """The text with no URL's credentials and none of the request's secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return redact_text(text)

    @property
    def tail(self) -> tuple[str, ...]:
        return tuple(self._tail)
