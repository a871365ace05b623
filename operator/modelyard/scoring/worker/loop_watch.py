"""A thread that notices when the driver blocks the event loop, and names the line."""

import asyncio
import json
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Self

from modelyard.scoring.frames import WARNED, Reply
from modelyard.scoring.worker.channel import WorkerChannel

CHECK_SECONDS: Final = 0.5
"""The time between two checks. A check wakes the loop once, which costs about 20 µs."""

BLOCKED_SECONDS: Final = 1.0
"""A loop that takes no turn for longer is blocked: its other requests wait as long."""

REPORT_SECONDS: Final = 60.0
"""Minimum time between two warnings: a driver that blocks does so in each request."""

REMEDY: Final = (
    "All other requests of this process wait for it. Await an async function in its place, or call it in"
    " a thread by `await asyncio.to_thread(function, ...)`"
)


class LoopWatch:
    """Sends a warning to the front when the loop is blocked. A context manager, to be used on the loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        channel: WorkerChannel,
        number_of: Callable[[asyncio.Task[object] | None], int],
    ) -> None:
        self._loop = loop
        self._channel = channel
        self._number_of = number_of
        self._stopped = threading.Event()
        self._asked_at: float | None = None
        """When the thread asked the loop to run _note_turn(); None once it has run."""
        self._reported_at = float("-inf")
        self._thread_id = threading.get_ident()

    def __enter__(self) -> Self:
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(CHECK_SECONDS):
            asked_at, now = self._asked_at, time.monotonic()
            if asked_at is None:
                self._asked_at = now
                self._loop.call_soon_threadsafe(self._note_turn)
            elif now - asked_at > BLOCKED_SECONDS and now - self._reported_at > REPORT_SECONDS:
                self._reported_at = now
                self._report(now - asked_at)

    def _note_turn(self) -> None:
        self._asked_at = None

    def _report(self, seconds: float) -> None:
        frames = _drivers_frames(sys._current_frames().get(self._thread_id))
        place = ""
        if frames:
            last = frames[-1]
            place = f" at {Path(last.filename).name}:{last.lineno} in {last.name}()"
        message = f"the event loop has been blocked for {seconds:.1f} s{place}. {REMEDY}"
        body = {"message": message, "exception": "".join(traceback.format_list(frames)).rstrip()}
        number = self._number_of(asyncio.current_task(self._loop))
        self._channel.reply(number, Reply(WARNED, body=json.dumps(body).encode()))


def _drivers_frames(innermost: FrameType | None) -> list[traceback.FrameSummary]:
    """Return the frames of the thread from the driver's first one on; none if the driver does not run."""
    inner = []
    while innermost is not None and not innermost.f_globals.get("__name__", "").startswith("modelyard."):
        inner.append(innermost)
        innermost = innermost.f_back
    frames = [(frame, frame.f_lineno) for frame in reversed(inner)]
    return list(traceback.StackSummary.extract(frames))
