"""How far a build is: the builder says it in its log, the operator reads it there.

A line of the log is `[Push] model diabetes:3: 40 MiB of 100 MiB`, or `… 40 MiB so far` where nobody knows the
total; the operator tells it as `Push, model diabetes:3: 40 MiB of 100 MiB`. A build that went well ends with
`[Push] pushed registry/path:tag, sha256:…`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final

from modelyard.contract.build_request import Step
from modelyard.sizes import human

PAUSE_SECONDS: Final = 2.0
"""Between two lines about the same bytes."""

_SIZE: Final = r"[0-9.e+]+ (?:bytes|[KMGT]iB)"
_LINE: Final = re.compile(rf"\[({'|'.join(Step)})\] (.*)")
_AMOUNT: Final = re.compile(rf".+: {_SIZE} (?:of {_SIZE}|so far)")
_PUSHED: Final = re.compile(r"pushed \S+, sha256:[0-9a-f]{64}")


class ProgressMeter:
    """Logs how many bytes of one thing have come or gone, now and then, and at the end of a long way."""

    def __init__(
        self,
        log: Callable[[str], None],
        what: str,
        total: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`what` is told by its name, `total` is in bytes; `monotonic` gives seconds."""
        self.total = total
        self._log = log
        self._what = what
        self._monotonic = monotonic
        self._logged_at = monotonic()
        self._is_long = False

    def update(self, done: int) -> None:
        """`done` bytes are through, counted from the first one; fewer than before when it begins anew."""
        now = self._monotonic()
        is_due = now - self._logged_at >= PAUSE_SECONDS
        if not is_due and not (self._is_long and done == self.total):
            return
        self._is_long, self._logged_at = True, now
        self._log(f"{self._what}: {amount(done, self.total)}")


def amount(done: int, total: int | None) -> str:
    """`40 MiB of 100 MiB`, or `40 MiB so far`."""
    return f"{human(done)} of {human(total)}" if total else f"{human(done)} so far"


def pushed_line(reference: str, digest: str) -> str:
    """What a builder says last, when the image is in the registry."""
    return f"pushed {reference}, {digest}"


def is_pushed_line(line: str) -> bool:
    """Whether a line of a log says so. Other programs write into it too: the registry knows."""
    match = _LINE.fullmatch(line)
    return match is not None and _PUSHED.fullmatch(match[2]) is not None


def latest_progress(log: str) -> str:
    """The step that a log is at, with its newest amount if it has one; nothing for a log without steps."""
    step = ""
    for line in reversed(log.splitlines()):
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        if step and match[1] != step:
            break
        step = match[1]
        if _AMOUNT.fullmatch(match[2]):
            return f"{step}, {match[2]}"
    return step
