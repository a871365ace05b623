"""`modelyard serve DRIVER`: the same server on a laptop, started again whenever the driver changes."""

import os
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Final

LOOK_SECONDS: Final = 0.5

END_SECONDS: Final = 5.0
"""How long the old server has for its requests."""

_SKIPPED: Final = {"__pycache__", "node_modules", "venv"}
_WATCHED: Final = {".py", ".json", ".yaml", ".yml", ".toml", ".txt"}

Stamps = dict[Path, int]


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("driver", type=Path, help="the driver file, with init() and run()")
    parser.add_argument("--model", type=Path, help="its model file or folder (AZUREML_MODEL_DIR)")
    parser.add_argument("--port", type=int, default=5001)
    parser.add_argument("--workers", type=int, default=1, help="processes with the driver")
    parser.add_argument("--concurrency", type=int, default=1, help="run() calls at once")
    parser.add_argument("--no-reload", action="store_true", help="do not start again when files change")


def serve(arguments: Namespace) -> int:
    """Until Ctrl-C. The exit code: 2 for a missing file, 3 for a bad driver when nothing is watched."""
    driver: Path = arguments.driver.resolve()
    model: Path | None = arguments.model.resolve() if arguments.model else None
    for path in (driver, model):
        if path is not None and not path.exists():
            sys.stderr.write(f"modelyard serve: there is no {path}\n")
            return 2
    environment = {
        **os.environ,
        "AML_APP_ROOT": str(driver.parent),
        "AZUREML_ENTRY_SCRIPT": driver.name,
        "MODELYARD_PORT": str(arguments.port),
        "MODELYARD_WORKERS": str(arguments.workers),
        "MODELYARD_MAX_CONCURRENT_REQUESTS": str(arguments.concurrency),
    }
    if model is not None:
        environment["AZUREML_MODEL_DIR"] = str(model if model.is_dir() else model.parent)
    where = f"http://127.0.0.1:{arguments.port}"
    sys.stderr.write(f"{driver.name}: POST {where}/score, a page to try it at {where}/docs\n")
    if arguments.no_reload:
        return subprocess.call([sys.executable, "-m", "modelyard.scoring"], env=environment)
    return _reloading(driver.parent, environment)


def _reloading(folder: Path, environment: dict[str, str]) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    while True:
        stamps = _stamps(folder)
        server = subprocess.Popen([sys.executable, "-m", "modelyard.scoring"], env=environment)
        try:
            while _stamps(folder) == stamps:
                time.sleep(LOOK_SECONDS)
                if server.poll() is not None and stamps:
                    sys.stderr.write("The driver cannot be served; waiting for a change of its files.\n")
                    while _stamps(folder) == stamps:
                        time.sleep(LOOK_SECONDS)
        except KeyboardInterrupt:
            return 0
        finally:
            _end(server)
        sys.stderr.write("A file has changed: starting again.\n")


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _stamps(folder: Path) -> Stamps:
    """When each file was changed last (nanoseconds). Models are not watched: they are large and many."""
    found: Stamps = {}
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _SKIPPED]
        for name in files:
            path = Path(parent, name)
            if path.suffix in _WATCHED:
                try:
                    found[path] = path.stat().st_mtime_ns
                except FileNotFoundError:  # it is just being replaced
                    found[path] = 0
    return found
