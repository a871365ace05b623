"""The benchmark of data collection: `python -m tests.bench.collect`.

First the throughput with collection to storage and to the event hub is compared with that without. That
beside a plain producer is compared, too. It is measured for boosted trees, for the demo's linear model, and
for a driver without any work. Then `tests.bench.collect.kills` kills side-car, broker and store, and
`tests.bench.collect.replay` asks the same model again. The last line has the figures of all. The exit code
is 1 if a row is missing, was not sent, or has another response.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping

from tests.bench import machine
from tests.bench.collect.drivers import BOOSTING, EMPTY, LINEAR, Driver
from tests.bench.collect.throughput import (
    EVENT_HUB,
    PLAIN_PRODUCER,
    STORAGE,
    WITHOUT,
    Pair,
    Throughput,
    measured_throughput,
    worst,
)
from tests.bench.progress import say
from tests.bench.scoring.load import need_wrk


def main() -> int:
    """Run both parts, print the figures, and return the exit code."""
    arguments = _arguments()
    need_wrk()
    say(f"on {machine.describe()}")
    drivers = {"boosting": BOOSTING, "linear": LINEAR, "empty": EMPTY}
    found = {name: _throughput(name, driver, arguments) for name, driver in drivers.items()}
    kill = ["--requests", str(arguments.requests), "--kills", str(arguments.kills)]
    kills_code, kills = _program("kills", *kill)
    replay_code, replay = _program("replay", "--requests", str(arguments.rows))
    print(_line(found, kills, replay), flush=True)
    return kills_code or replay_code


def _throughput(title: str, driver: Driver, arguments: argparse.Namespace) -> dict[Pair, Throughput]:
    """Measure a driver, and show the figures of each pair."""
    say(f"throughput: {title}")
    found = measured_throughput(driver, arguments.starts, arguments.rounds, arguments.seconds)
    for (name, reference), figures in found.items():
        say(
            f"{title}, {name}: throughput {figures.rate:.3f}, p99 {figures.p99:.2f}, CPU of the front"
            f" {figures.front_cpu:.2f} times that of {reference}; side-car {figures.side_car_mb:.0f} MB"
        )
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=4, help="starts of all processes")
    parser.add_argument("--rounds", type=int, default=4, help="rounds after each start, an even number")
    parser.add_argument("--seconds", type=int, default=4, help="time of each load")
    parser.add_argument("--requests", type=int, default=1_000_000, help="requests while parts are killed")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rows", type=int, default=100_000, help="rows that are replayed")
    return parser.parse_args()


def _program(name: str, *arguments: str) -> tuple[int, dict[str, str]]:
    """Run a part in a process of its own, show its lines, and return its code and its figures."""
    command = [sys.executable, "-m", f"tests.bench.collect.{name}", *arguments]
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            last = line
    figures = dict(word.split("=", 1) for word in last.split() if "=" in word)
    return process.returncode, figures


def _line(
    drivers: Mapping[str, Mapping[Pair, Throughput]], kills: Mapping[str, str], replay: Mapping[str, str]
) -> str:
    """Return the line of figures: of two sinks the worse one, and the rows of both."""
    sinks = ("storage", "event_hub")

    def total(name: str) -> int:
        return sum(abs(int(kills.get(f"{sink}_{name}", 0))) for sink in sinks)

    memory = max(
        *(figures.side_car_mb for found in drivers.values() for figures in found.values()),
        float(kills.get("memory_mb", "nan")),
    )
    throughput = " ".join(_driver_words(name, found) for name, found in drivers.items())
    return (
        f"collect {throughput}"
        f" sidecar_mb={memory:.0f} rows={total('rows')} dropped={total('dropped')}"
        f" requests={kills.get('requests', 0)} sinks={len(sinks)} difference={total('difference')}"
        f" replayed={replay.get('compared', 0)} replayed_equal={replay.get('equal', 0)}"
    )


def _driver_words(name: str, found: Mapping[Pair, Throughput]) -> str:
    """Return the figures of a driver: the worse ones of both sinks, and those beside a plain producer."""
    sink, plain = worst([found[STORAGE, WITHOUT], found[EVENT_HUB, WITHOUT]]), found[PLAIN_PRODUCER, WITHOUT]
    return (
        f"{name}_throughput={sink.rate:.3f} {name}_p99={sink.p99:.2f} {name}_front_cpu={sink.front_cpu:.2f}"
        f" {name}_plain_throughput={plain.rate:.3f} {name}_plain_p99={plain.p99:.2f}"
    )


if __name__ == "__main__":
    sys.exit(main())
