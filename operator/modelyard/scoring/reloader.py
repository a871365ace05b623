"""A server that restarts whenever a file in the driver's folder changes."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from watchfiles import Change, DefaultFilter, watch
from watchfiles.main import FileChange

POLL_MILLISECONDS: Final = 500
"""How soon the end of the server is noticed."""

STOP_SECONDS: Final = 5.0
"""How long the old server has to finish its requests."""

_SUFFIXES: Final = {".py", ".json", ".yaml", ".yml", ".toml", ".txt"}
"""Files to watch. Models are not: they are large and many."""
_skips_tool_folders: Final = DefaultFilter()  # .git, .venv, __pycache__, node_modules and the like


def serve_with_reload(folder: Path, environment: dict[str, str]) -> int:
    """Serve until Ctrl-C or SIGTERM. Return the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    changes = watch(folder, watch_filter=_is_source, yield_on_timeout=True, rust_timeout=POLL_MILLISECONDS)
    while True:
        server = subprocess.Popen([sys.executable, "-m", "modelyard.scoring"], env=environment)
        try:
            _wait_for_change(changes, server)
        except KeyboardInterrupt:
            return 0
        finally:
            _stop(server)
        sys.stderr.write("A file has changed: restarting.\n")


def _wait_for_change(changes: Iterator[set[FileChange]], server: subprocess.Popen[bytes]) -> None:
    reported = False
    for change in changes:
        if change:
            return
        if server.poll() is not None and not reported:
            reported = True
            sys.stderr.write("The driver cannot be served; waiting for a change of its files.\n")


def _is_source(change: Change, path: str) -> bool:
    return _skips_tool_folders(change, path) and Path(path).suffix in _SUFFIXES


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
