"""`modelyard serve DRIVER`: the same server on a laptop."""

import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("driver", type=Path, help="the driver file, with init() and run()")
    parser.add_argument("--model", type=Path, help="its model file or folder (AZUREML_MODEL_DIR)")
    # Not the image's 0.0.0.0: mostly there is no key, and a driver is code that anybody could then run.
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at")
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
        "MODELYARD_HOST": arguments.host,
        "MODELYARD_PORT": str(arguments.port),
        "MODELYARD_WORKERS": str(arguments.workers),
        "MODELYARD_MAX_CONCURRENT_REQUESTS": str(arguments.concurrency),
    }
    if model is not None:
        environment["AZUREML_MODEL_DIR"] = str(model if model.is_dir() else model.parent)
    host = "127.0.0.1" if arguments.host == "0.0.0.0" else arguments.host  # noqa: S104 - it is compared only
    where = f"http://{host}:{arguments.port}"
    sys.stderr.write(f"{driver.name}: POST {where}/score, a page to try it at {where}/docs\n")
    if arguments.no_reload:
        # In this process, so that signals go to the server.
        os.execve(sys.executable, [sys.executable, "-m", "modelyard.scoring"], environment)  # noqa: S606
    from modelyard.scoring.reloader import serve_again  # noqa: PLC0415 - what watches is for this only

    return serve_again(driver.parent, environment)
