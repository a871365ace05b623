"""Lines of a build's log that the operator reads for `status.progress`.

The builder logs `[Push] model diabetes:3: 40 MiB of 100 MiB`, or `… 40 MiB so far` if the total is unknown.
The operator reports `Push, model diabetes:3: 40 MiB of 100 MiB`. The last line of a successful build is
`[Push] pushed registry/path:tag, sha256:…`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from modelyard.contract.build_request import Step
from modelyard.sizes import human

PAUSE_SECONDS: Final = 2.0
"""Minimum seconds between two lines about the same transfer."""

_SIZE: Final = r"[0-9.e+]+ (?:bytes|[KMGT]iB)"
_LINE: Final = re.compile(rf"\[({'|'.join(Step)})\] (.*)")
_AMOUNT: Final = re.compile(rf".+: {_SIZE} (?:of {_SIZE}|so far)")
_TIMESTAMP: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z ")
_PUSHED: Final = re.compile(r"pushed \S+, sha256:[0-9a-f]{64}")


class ProgressMeter:
    """Logs the bytes of one transfer every PAUSE_SECONDS, and the end of a transfer that took longer."""

    def __init__(
        self,
        log: Callable[[str], None],
        subject: str,
        total: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the clock. `total` is in bytes, None if unknown; `monotonic` returns seconds."""
        self.total = total
        self._log = log
        self._subject = subject
        self._monotonic = monotonic
        self._logged_at = monotonic()
        self._is_long = False

    def update(self, done: int) -> None:
        """Log the bytes transferred so far if a line is due. A restarted transfer may report fewer."""
        now = self._monotonic()
        is_due = now - self._logged_at >= PAUSE_SECONDS
        if not is_due and not (self._is_long and done == self.total):
            return
        self._is_long, self._logged_at = True, now
        self._log(f"{self._subject}: {amount(done, self.total)}")


def amount(done: int, total: int | None) -> str:
    """Return `40 MiB of 100 MiB`, or `40 MiB so far` if the total is unknown."""
    return f"{human(done)} of {human(total)}" if total else f"{human(done)} so far"


def pushed_line(reference: str, digest: str) -> str:
    """Return the last line of a successful build."""
    return f"pushed {reference}, {digest}"


def is_pushed_line(line: str) -> bool:
    """Return True if a line of a log has the form of `pushed_line`.

    Confirm the image in the registry: programs that the build runs write into the log, too.
    """
    match = _LINE.fullmatch(line)
    return match is not None and _PUSHED.fullmatch(match[2]) is not None


def latest_progress(log: str) -> str:
    """Return the last step in a log, with its newest amount if there is one; empty without any step."""
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


class BuildTimes(NamedTuple):
    """Ends of the steps of a build (RFC 3339, whole seconds, UTC), None for a step that the log lacks."""

    fetched: str | None = None
    built: str | None = None
    pushed: str | None = None


def without_timestamps(log: str) -> tuple[str, BuildTimes]:
    """Return a log that the kubelet wrote with timestamps without them, and the ends of its steps.

    A step ends with its last line. A line without a timestamp stays as it is.
    """
    lines: list[str] = []
    ends: dict[str, str] = {}
    for line in log.splitlines(keepends=True):
        stamp = _TIMESTAMP.match(line)
        text = line[stamp.end() :] if stamp else line
        lines.append(text)
        if stamp and (match := _LINE.fullmatch(text.rstrip("\n"))):
            is_end = match[1] != Step.PUSH or _PUSHED.fullmatch(match[2])
            ends |= {match[1]: f"{stamp[1]}Z"} if is_end else {}
    return "".join(lines), BuildTimes(ends.get(Step.FETCH), ends.get(Step.BUILD), ends.get(Step.PUSH))
