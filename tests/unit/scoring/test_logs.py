"""The form of the log's lines, in containers and at a terminal."""

import io
import json
import logging
import re
import sys

import pytest

from modelyard.scoring.logs import configure_logs

TRACEBACK = 'Traceback (most recent call last):\n  File "score.py", line 3, in run\nValueError: no'


class Stderr(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture
def write(monkeypatch: pytest.MonkeyPatch):
    """Return a function that returns the log of one failure of run()."""
    loggers = [logging.getLogger(name) for name in ("modelyard", "asyncio")]
    before = [(logger.handlers, logger.level, logger.propagate) for logger in loggers]

    def log(*, terminal: bool) -> str:
        stderr = Stderr(terminal=terminal)
        monkeypatch.setattr(sys, "stderr", stderr)
        configure_logs()
        extra = {"requestId": "one", "exception": TRACEBACK}
        logging.getLogger("modelyard.scoring").error("run() failed", extra=extra)
        return stderr.getvalue()

    yield log
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def test_line_is_json_unless_stderr_is_a_terminal(write) -> None:
    line = json.loads(write(terminal=False))

    assert (line["message"], line["requestId"], line["exception"]) == ("run() failed", "one", TRACEBACK)


def test_traceback_at_a_terminal_has_lines(write) -> None:
    assert re.fullmatch(
        rf"\d\d:\d\d:\d\d error: run\(\) failed requestId=one\n{re.escape(TRACEBACK)}\n", write(terminal=True)
    )
