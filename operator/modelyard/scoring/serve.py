"""`modelyard serve DRIVER`: the same server on a laptop."""

import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from modelyard.scoring.contract import PORT, Variable
from modelyard.scoring.taken_port import listen_error


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("driver", type=Path, help="the driver file, with init() and run()")
    parser.add_argument("--model", type=Path, help="its model file or folder (AZUREML_MODEL_DIR)")
    # Not the image's 0.0.0.0: usually there is no key here, and anybody could run the driver's code.
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (%(default)s)")
    parser.add_argument("--port", type=int, default=PORT, help="the port to listen at (%(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="worker processes at least (%(default)s)")
    parser.add_argument("--concurrency", type=int, default=1, help="run() calls at once (%(default)s)")
    parser.epilog = (
        "The driver imports the packages that are installed beside modelyard."
        " /docs of the server shows its input in a browser."
    )
    parser.add_argument("--no-reload", action="store_true", help="do not restart when files change")


def serve(arguments: Namespace) -> int:
    """Serve until Ctrl-C.

    Return the exit code: 2 for a missing file or a port that cannot be used, 3 with --no-reload for a bad
    driver.
    """
    driver: Path = arguments.driver.resolve()
    model: Path | None = arguments.model.resolve() if arguments.model else None
    for path in (driver, model):
        if path is not None and not path.exists():
            sys.stderr.write(f"modelyard serve: the file {path} does not exist\n")
            return 2
    error = listen_error(arguments.host, arguments.port)
    if error is not None:
        sys.stderr.write(f"modelyard serve: {error}\n")
        return 2
    environment = {
        **os.environ,
        Variable.APP_ROOT: str(driver.parent),
        Variable.ENTRY_SCRIPT: driver.name,
        Variable.HOST: arguments.host,
        Variable.PORT: str(arguments.port),
        Variable.WORKERS: str(arguments.workers),
        Variable.MAX_CONCURRENT_REQUESTS: str(arguments.concurrency),
    }
    if model is not None:
        environment[Variable.MODEL_DIR] = str(model if model.is_dir() else model.parent)
    host = "127.0.0.1" if arguments.host == "0.0.0.0" else arguments.host  # noqa: S104 - only compared
    url = f"http://{host}:{arguments.port}"
    sys.stderr.write(f"{driver.name}: POST {url}/score, or try it in a browser at {url}/docs\n")
    if arguments.no_reload:
        # Replaces this process, so that signals reach the server.
        os.execve(sys.executable, [sys.executable, "-m", "modelyard.scoring"], environment)  # noqa: S606
    from modelyard.scoring.reloader import serve_with_reload  # noqa: PLC0415 - it imports watchfiles

    return serve_with_reload(driver.parent, environment)
