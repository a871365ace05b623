"""Replays collected requests against the same driver: `python -m tests.bench.collect.replay`.

Each request has another body, and another response of the model. The exit code is 1 unless each of them was
collected, and has the same response in the replay.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from tests.bench.collect.drivers import LINEAR
from tests.bench.collect.object_store import ObjectStore
from tests.bench.collect.replica import NAMESPACE, SERVICE, Front, SideCar
from tests.bench.collect.requests import Requests
from tests.bench.progress import say
from tests.bench.scoring.servers import KEY
from tests.support.servers import wait_until

from modelyard.contract.collection_pod import CollectorVariable
from modelyard.scoring.contract import Variable

_VALUES: Final = 10
"""Measurements of a patient."""
_REPLAY_SECONDS: Final = 3600


def main() -> int:
    """Collect, replay and compare. Return the exit code."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("store", "replica", "asked"):
            (folder / part).mkdir()
        with ObjectStore(folder / "store") as store:
            _collect(folder / "replica", store, arguments)
            with Front(folder / "asked", {Variable.COLLECTION_DIR: ""}, LINEAR) as front:
                say("replay")
                report = _replay(folder, store, front.port)
    figures = {name: report[name] for name in ("rows", "compared", "equal", "different")}
    figures["per_second"] = round(report["rows"] / report["seconds"])
    print("replay", " ".join(f"{name}={value}" for name, value in figures.items()), flush=True)
    return int(report["equal"] != arguments.requests or report["rows"] != arguments.requests)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--per-second", type=float, default=1500.0, help="rate of the collected requests")
    return parser.parse_args()


def _collect(folder: Path, store: ObjectStore, arguments: argparse.Namespace) -> None:
    """Send requests to a replica whose records go to the store. Raises the error of a failed request."""
    storage_alone = {CollectorVariable.EVENT_HUB: "false"}
    with Front(folder, driver=LINEAR) as front, SideCar(folder, store.secret, storage_alone) as side_car:
        say(f"{arguments.requests} requests are collected")
        requests = Requests(front.port, KEY, arguments.requests, arguments.per_second, _body)
        while not requests.is_done:
            time.sleep(0.1)
        front.stop()
        wait_until(side_car.spool_is_empty, lambda: "the spool is never empty")
        side_car.stop()


def _body(number: int) -> bytes:
    """Return a patient whose measurements no other request has."""
    return json.dumps({"data": [[(number + value) / 1e6 for value in range(_VALUES)]]}).encode()


def _replay(folder: Path, store: ObjectStore, port: int) -> dict[str, Any]:
    """Run the command, and return its report. Raises CalledProcessError if it does not work."""
    file = folder / "report.json"
    command = [
        sys.executable, "-m", "modelyard", "replay", store.secret["storageUrl"],
        "--namespace", NAMESPACE, "--service", SERVICE, "--from", "1h",
        "--url", f"http://127.0.0.1:{port}/score", "--rate", "0", "--json", str(file),
    ]  # fmt: skip
    credentials = {name: value for name, value in store.secret.items() if name.startswith("AWS_")}
    environment = os.environ | credentials | {"MODELYARD_KEY": KEY}
    done = subprocess.run(command, check=False, env=environment, timeout=_REPLAY_SECONDS)
    if not file.exists():
        done.check_returncode()
    report: dict[str, Any] = json.loads(file.read_text())
    return report


if __name__ == "__main__":
    sys.exit(main())
