"""The command `modelyard replay`: collected requests, asked again, and the differences of the responses."""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson

from modelyard.cli.replay_arguments import KEY_VARIABLE, SERVICE_RATE
from modelyard.collected.errors import CollectedDataError
from modelyard.collected.store import CollectedStore
from modelyard.collected.window import SCORING, Window, moment, segment
from modelyard.json_path import parse_path
from modelyard.redaction import redact
from modelyard.replay.client import Target
from modelyard.replay.comparison import Comparison
from modelyard.replay.errors import ReplayError
from modelyard.replay.html_report import html_report
from modelyard.replay.image import running_image
from modelyard.replay.report import make_report, text_report
from modelyard.replay.requests import collected_requests
from modelyard.replay.run import Limits, replay
from modelyard.replay.tally import Tally

_EQUAL, _DIFFERENT, _FAILED, _INTERRUPTED = 0, 1, 2, 130
_QUIET_SECONDS: Final = 10.0  # between two lines of progress in a file


def run(arguments: argparse.Namespace) -> int:
    """Replay a window, and print and write the reports.

    Return the exit code: 0 if all responses are equal, 1 above --max-differences, 2 for an error. SIGINT and
    SIGTERM end the replay with 130.
    """
    try:
        window = _window(arguments)
        comparison = Comparison(arguments.tolerance, [parse_path(path) for path in arguments.ignore])
        store = CollectedStore(arguments.store)
        _check_writable(arguments.json, arguments.html)
        key = _key(arguments)
    except (OSError, ValueError, CollectedDataError) as error:
        return _fail(error)
    tally = Tally()
    started = time.monotonic()
    complete, code = False, _FAILED
    try:
        with _sigterm_as_ctrl_c(), _target(arguments, key) as target:
            batches = collected_requests(store, window)
            replaying = replay(batches, target, _limits(arguments), comparison, tally, _progress())
            complete = asyncio.run(replaying)
            code = _code(tally, arguments) if complete else _INTERRUPTED
    except KeyboardInterrupt:  # while the container starts
        code = _INTERRUPTED
    except (OSError, CollectedDataError, ReplayError) as error:
        _fail(error)
    if code == _FAILED and not tally.rows:
        return code
    report = make_report(tally, _settings(arguments), time.monotonic() - started, complete=complete)
    sys.stdout.write(text_report(report))
    if arguments.json:
        arguments.json.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    if arguments.html:
        arguments.html.write_text(html_report(report, tally), encoding="utf-8")
    return code


def _window(arguments: argparse.Namespace) -> Window:
    now = dt.datetime.now(dt.UTC)
    start, end = moment(arguments.start, now), moment(arguments.end, now) if arguments.end else now
    if start >= end:
        raise ValueError("--from must be before --to")
    version = segment(arguments.version) if arguments.version else None
    names = segment(arguments.namespace), segment(arguments.service), version, SCORING
    return Window(*names, start=start, end=end)


def _key(arguments: argparse.Namespace) -> str | None:
    if arguments.key_file:
        return str(arguments.key_file.read_text().strip())
    return os.environ.get(KEY_VARIABLE)


def _check_writable(*files: Path | None) -> None:
    """Raise OSError for a report that could not be written at the end."""
    for file in files:
        if file:
            file.open("ab").close()


def _limits(arguments: argparse.Namespace) -> Limits:
    default = SERVICE_RATE if arguments.url else 0.0
    rate = default if arguments.rate is None else arguments.rate
    return Limits(arguments.concurrency, rate or math.inf, arguments.limit)


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt, so that the container of an image is removed."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _target(arguments: argparse.Namespace, key: str | None) -> Iterator[Target]:
    options = {"model_name": arguments.model_name, "timeout_seconds": arguments.timeout}
    if arguments.url:
        yield Target(arguments.url, key, ca_file=arguments.ca_file, **options)
        return
    started = running_image(
        arguments.image, env_file=arguments.env_file, concurrency=arguments.concurrency, tell=_tell
    )
    with started as url:
        yield Target(url, **options)


def _code(tally: Tally, arguments: argparse.Namespace) -> int:
    if not tally.rows:
        _tell("the window has no rows: check the store, --namespace, --service, --version and the times")
        return _FAILED
    if not tally.answered and not tally.unanswered:
        _tell("no row of the window can be replayed")
        return _FAILED
    return _DIFFERENT if tally.failures > arguments.max_differences else _EQUAL


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "store": redact(arguments.store) if "://" in arguments.store else arguments.store,
        "namespace": arguments.namespace,
        "service": arguments.service,
        "version": arguments.version or "all",
        "from": arguments.start,
        "to": arguments.end or "now",
        "target": redact(arguments.url) if arguments.url else arguments.image,
        "tolerance": arguments.tolerance,
        "ignore": ", ".join(arguments.ignore),
    }


def _progress() -> Callable[[Tally], None]:
    """Return a writer of progress to standard error: one line that changes, or a line each 10 s in a file."""
    started = told = time.monotonic()
    terminal = sys.stderr.isatty()

    def progress(tally: Tally) -> None:
        nonlocal told
        now = time.monotonic()
        if not terminal and now - told < _QUIET_SECONDS:
            return
        told = now
        rate = tally.rows / max(now - started, 0.001)
        line = (
            f"{tally.rows} rows, {rate:.0f}/s, {tally.different} different, {tally.unanswered.total()} failed"
        )
        sys.stderr.write(f"\r\x1b[K{line}" if terminal else f"{line}\n")
        sys.stderr.flush()

    return progress


def _tell(text: str) -> None:
    sys.stderr.write(f"modelyard replay: {text}\n")
    sys.stderr.flush()


def _fail(error: Exception) -> int:
    _tell(str(error))
    return _FAILED
