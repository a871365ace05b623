"""The server, started again whenever a file of the driver's folder changes."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from watchfiles import Change, DefaultFilter, watch
from watchfiles.main import FileChange

LOOK_MILLISECONDS: Final = 500
"""How soon it is told that the server has ended."""

END_SECONDS: Final = 5.0
"""How long the old server has for its requests."""

_WATCHED: Final = {".py", ".json", ".yaml", ".yml", ".toml", ".txt"}
_skip_folders: Final = DefaultFilter()  # .git, .venv, __pycache__, node_modules and their like


def serve_again(folder: Path, environment: dict[str, str]) -> int:
    """Serve until Ctrl-C or SIGTERM; the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    changes = watch(folder, watch_filter=_is_source, yield_on_timeout=True, rust_timeout=LOOK_MILLISECONDS)
    while True:
        server = subprocess.Popen([sys.executable, "-m", "modelyard.scoring"], env=environment)
        try:
            _wait_for_change(changes, server)
        except KeyboardInterrupt:
            return 0
        finally:
            _end(server)
        sys.stderr.write("A file has changed: starting again.\n")


def _wait_for_change(changes: Iterator[set[FileChange]], server: subprocess.Popen[bytes]) -> None:
    told = False
    for change in changes:
        if change:
            return
        if server.poll() is not None and not told:
            told = True
            sys.stderr.write("The driver cannot be served; waiting for a change of its files.\n")


def _is_source(change: Change, path: str) -> bool:
    """Models are not watched: they are large and many."""
    return _skip_folders(change, path) and Path(path).suffix in _WATCHED


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
