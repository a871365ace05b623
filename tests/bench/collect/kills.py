"""Kills side-car, broker and store while requests are scored: `python -m tests.bench.collect.kills`.

Each request has a row in the storage and a record in the event hub, or is counted as dropped. Some requests
are larger than the topic's limit. The exit code is 1 if a row of a sink is missing and not counted, or if no
request has its id.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.bench.collect.object_store import ObjectStore
from tests.bench.collect.replica import Front, SideCar
from tests.bench.collect.requests import LARGE_BYTES, Requests
from tests.bench.progress import say
from tests.bench.scoring.servers import KEY
from tests.support.kafka import Broker

from modelyard.contract.collection_pod import CollectorVariable
from modelyard.scoring.contract import Variable

DOWN_SECONDS: Final = 3
DRAIN_SECONDS: Final = 600
TOPIC_LIMIT: Final = LARGE_BYTES // 2


def main() -> int:
    """Run the benchmark, and return the exit code."""
    arguments = _arguments()
    schedule = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("store", "broker", "replica"):
            (folder / part).mkdir()
        with ObjectStore(folder / "store") as store, Broker(folder / "broker") as broker:
            topic = broker.create_topic(**{"max.message.bytes": str(TOPIC_LIMIT)})
            secret = store.secret | {"kafkaBootstrapServers": broker.plain, "kafkaTopic": topic}
            size = str(int(arguments.spool_mib * 1024 * 1024))
            limits = {Variable.COLLECTION_SPOOL_BYTES: size, CollectorVariable.SPOOL_BYTES: size}
            with (
                Front(folder / "replica", limits) as front,
                SideCar(folder / "replica", secret, limits) as side_car,
            ):
                kills = {
                    "process": side_car.kill_process,
                    "container": side_car.restart,
                    "broker": lambda: _outage(broker),
                    "store": lambda: _outage(store),
                }
                requests = Requests(front.port, KEY, arguments.requests, arguments.per_second)
                parts = _parts(arguments.kills, list(kills), schedule)
                _kill_parts(parts, kills, requests, arguments.requests, side_car, schedule)
                front.stop()
                state = _drained(side_car)
                code = side_car.stop()
            say("the side-car has ended")
            event_hub = Counter(int(record.key()) for record in broker.records(topic))
            return _compared(arguments, state, code, store.request_ids(), event_hub, side_car.peak_mb)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--per-second", type=float, default=2500.0, help="rate of the requests")
    parser.add_argument("--spool-mib", type=float, default=256.0, help="a small spool drops records")
    parser.add_argument("--seed", type=int, default=1, help="order and times of the kills")
    return parser.parse_args()


def _parts(count: int, names: list[str], schedule: random.Random) -> list[str]:
    """Return the parts to kill, each about as often."""
    parts = [names[number % len(names)] for number in range(count)]
    schedule.shuffle(parts)
    return parts


def _kill_parts(
    parts: list[str],
    kills: dict[str, Callable[[], None]],
    requests: Requests,
    count: int,
    side_car: SideCar,
    schedule: random.Random,
) -> None:
    """Kill one part after another at random numbers of answers, until all requests are answered."""
    starts = sorted(schedule.randrange(count) for _ in parts)
    for start, part in zip(starts, parts, strict=True):
        while requests.answered < start and not requests.is_done:
            time.sleep(0.01)
        say(f"{requests.answered} answers: kill {part}")
        kills[part]()
    while not requests.is_done:
        side_car.measure()
        time.sleep(0.5)
    say(f"{requests.answered} answers")


def _outage(part: Broker | ObjectStore) -> None:
    part.kill()
    time.sleep(DOWN_SECONDS)
    part.start()


def _drained(side_car: SideCar) -> dict[str, Any]:
    """Wait until the spool is empty, and return the sinks of /state. Raises TimeoutError."""
    end = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < end:
        # Between two processes there is no state.
        with contextlib.suppress(OSError):
            if side_car.spool_is_empty():
                sinks: dict[str, Any] = side_car.state()["sinks"]
                return sinks
        time.sleep(0.5)
    raise TimeoutError(f"the spool is not empty after {DRAIN_SECONDS} s")


def _compared(
    arguments: argparse.Namespace,
    state: dict[str, Any],
    code: int,
    storage: Counter[int],
    event_hub: Counter[int],
    peak_mb: float,
) -> int:
    """Print the figures, and return the exit code."""
    differences = {}
    figures = {"requests": arguments.requests, "kills": arguments.kills}
    for name, label, rows in (("storage", "storage", storage), ("eventHub", "event_hub", event_hub)):
        dropped = state[name]["dropped"]
        say(f"{label}: {len(rows)} requests, {rows.total()} rows, dropped {dropped}")
        strange = sum(not 0 <= number < arguments.requests for number in rows)
        differences[label] = arguments.requests - len(rows) - sum(dropped.values())
        figures |= {f"{label}_rows": len(rows), f"{label}_dropped": sum(dropped.values())}
        figures |= {f"{label}_twice": rows.total() - len(rows), f"{label}_difference": differences[label]}
        if strange:
            differences[f"{label} strange"] = strange
    print(" ".join(f"{name}={value}" for name, value in figures.items()), f"memory_mb={peak_mb:.0f}")
    return int(code != 0 or any(differences.values()))


if __name__ == "__main__":
    sys.exit(main())
