"""The log of a build: each line has its step, and no line has a credential."""

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
_MIN_SECRET_CHARACTERS: Final = 4  # a shorter secret is part of many words, which would be redacted
_CONTROL_CHARACTERS: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


class BuildLog:
    """Writes lines as `[Step] text`, and keeps the last lines for the result. Safe for threads."""

    def __init__(self, out: TextIO, secrets: Iterable[str] = ()) -> None:
        """`secrets` are the strings that no line may contain."""
        self._output = _Output(out, secrets)
        self.step = Step.FETCH

    def enter(self, step: Step) -> None:
        """Set the step of the lines that follow, and of errors that name no step."""
        self.step = step

    def for_step(self, step: Step) -> BuildLog:
        """Return a log of another step for work in parallel. Both logs share one output."""
        log = copy(self)  # a shallow copy has the same _output
        log.step = step
        return log

    def write(self, text: str) -> None:
        """Write one or more lines without control characters, without secrets, and without empty lines."""
        self._output.write(self.step, self.clean(text))

    def clean(self, text: str) -> list[str]:
        """Return the lines that `write` would write, without the step."""
        lines = (self.redact(_CONTROL_CHARACTERS.sub("", line)).rstrip() for line in text.splitlines())
        return [line for line in lines if line]

    def redact(self, text: str) -> str:
        """Return the text without the credentials of URLs and without the secrets of the request."""
        for secret in self._output.secrets:
            text = text.replace(secret, "***")
        return redact_text(text)

    @property
    def tail(self) -> tuple[str, ...]:
        """Return the last 15 lines of all steps, without their step."""
        return tuple(self._output.tail)


class _Output:
    """The stream, the secrets and the last lines that the logs of all steps share."""

    def __init__(self, out: TextIO, secrets: Iterable[str]) -> None:
        self.secrets = sorted(
            {text for text in secrets if len(text) >= _MIN_SECRET_CHARACTERS},
            key=len,
            reverse=True,  # a secret may be part of a longer one
        )
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._out = out
        self._lock = threading.Lock()

    def write(self, step: Step, lines: Iterable[str]) -> None:
        with self._lock:
            for line in lines:
                self.tail.append(line)
                self._out.write(f"[{step}] {line}\n")
            self._out.flush()
