"""Throughput of a driver with collection to storage, to the event hub, and without, in interleaved rounds.

All replicas run at the same time, and one of them has load. A round measures each replica once. Before the
next load the side-car delivers what the last one left, so that no replica pays for another one.

A broker on the same cores has a cost of its own. So the replica without collection is measured once more,
beside a plain producer. The rate of this producer is that of the side-car with the event hub.

Front and side-car are in control groups with the CPU weights of a cluster.

All processes start several times: the CPU time of a request differs by up to 5 % between two starts of the
same program, by chance.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench.collect.cpu_groups import CpuGroup
from tests.bench.collect.drivers import Driver
from tests.bench.collect.object_store import ObjectStore
from tests.bench.collect.plain_records import plain_producer, warm_up
from tests.bench.collect.replica import Front, SideCar
from tests.bench.progress import say
from tests.bench.scoring.load import Result, load
from tests.support.kafka import Broker
from tests.support.processes import cpu_seconds, tree
from tests.support.servers import wait_until

from modelyard.contract.collection_pod import CollectorVariable
from modelyard.scoring.contract import Variable

CONNECTIONS: Final = 32
WITHOUT: Final = "without"
STORAGE: Final = "storage"
EVENT_HUB: Final = "event hub"
PLAIN_PRODUCER: Final = "plain producer"
Pair = tuple[str, str]
"""A replica, and the one that its figures are relative to."""
PAIRS: Final[tuple[Pair, ...]] = (
    (STORAGE, WITHOUT),
    (EVENT_HUB, WITHOUT),
    (PLAIN_PRODUCER, WITHOUT),
    (EVENT_HUB, PLAIN_PRODUCER),
)
Combine = Callable[[Iterable[float]], float]
_DELIVERY_SECONDS: Final = 60
_WARM_UP_SECONDS: Final = 4
_SCORING_MILLICORES: Final = 100
_COLLECTOR_MILLICORES: Final = 10
"""The requests of containers by default."""


class Load(NamedTuple):
    """Figures of one load."""

    result: Result
    front_microseconds: float
    """CPU time of the scoring server for a request."""
    side_car_mb: float
    """Peak of the side-car's memory so far."""


@dataclass
class Replica:
    """A running replica."""

    folder: Path
    front: Front
    side_car: SideCar | None
    body: str
    """The body of each request."""
    count_records: Callable[[], int] = lambda: 0
    """Returns the number of records on the topic."""
    records_per_second: float = 0.0
    """Records on the topic in each second of the last load."""

    def measure(self, seconds: int) -> Load:
        """Send load for some seconds, and return the figures."""
        records, before = self.count_records(), cpu_seconds(tree(self.front.pid))
        result = load(f"http://127.0.0.1:{self.front.port}/score", self.body, CONNECTIONS, seconds)
        spent = cpu_seconds(tree(self.front.pid)) - before
        self.records_per_second = (self.count_records() - records) / seconds
        if self.side_car:
            self.side_car.measure()
        peak_mb = self.side_car.peak_mb if self.side_car else 0.0
        return Load(result, spent / (result.per_second * seconds) * 1e6, peak_mb)

    def wait_for_delivery(self) -> None:
        """Wait until the side-car has delivered all complete segments."""
        if side_car := self.side_car:
            spool = self.folder / "spool"
            wait_until(
                lambda: not any(spool.glob("*.segment")), lambda: f"segments are left: {side_car.state()}"
            )


class Arm(NamedTuple):
    """A replica, and a program that runs beside it during each load."""

    replica: Replica
    beside: Callable[[], AbstractContextManager[object]] = nullcontext


@dataclass(frozen=True)
class Throughput:
    """Figures of a replica, relative to another one."""

    rate: float
    p99: float
    front_cpu: float
    side_car_mb: float


def worst(figures: Sequence[Throughput]) -> Throughput:
    """Return the worst of each figure."""
    return _combined(figures, lowest=min, highest=max)


def measured_throughput(driver: Driver, starts: int, rounds: int, seconds: int) -> dict[Pair, Throughput]:
    """Return the figures of each of the PAIRS.

    `starts` is the number of starts, `rounds` that after each start, and `seconds` the time of each load.
    """
    pairs: dict[Pair, list[Throughput]] = {pair: [] for pair in PAIRS}
    for start in range(starts):
        with tempfile.TemporaryDirectory() as folder, _arms(Path(folder), driver) as arms:
            say("warm up the replicas")
            _loads(arms, _WARM_UP_SECONDS)
            for number in range(rounds):
                loads = _loads(arms, seconds, backwards=number % 2 == 1)
                say(f"start {start + 1} of {starts}, round {number + 1} of {rounds}: {_text(loads)}")
                for (name, reference), found in pairs.items():
                    found.append(_relative(loads[name], loads[reference]))
    median = statistics.median
    return {pair: _combined(found, lowest=median, highest=median) for pair, found in pairs.items()}


def _loads(arms: Mapping[str, Arm], seconds: int, *, backwards: bool = False) -> dict[str, Load]:
    """Send load to each replica in turn.

    The store writes to its disk after a delivery, at the cost of the next replica. An even number of rounds,
    each second one backwards, shares this cost equally.
    """
    loads: dict[str, Load] = {}
    for name in reversed(list(arms)) if backwards else arms:
        arm = arms[name]
        with arm.beside():
            loads[name] = arm.replica.measure(seconds)
        arm.replica.wait_for_delivery()
    return {name: loads[name] for name in arms}


@contextmanager
def _arms(folder: Path, driver: Driver) -> Iterator[dict[str, Arm]]:
    with ExitStack() as stack:
        for name in ("store", "broker"):
            (folder / name).mkdir()
        say("start store and broker")
        store = stack.enter_context(ObjectStore(folder / "store"))
        broker = stack.enter_context(Broker(folder / "broker"))
        say("warm up the broker")
        warm_up(broker)
        topic, other_topic = broker.create_topic(), broker.create_topic()
        hub = {"kafkaBootstrapServers": broker.plain, "kafkaTopic": topic}
        without = _replica(stack, folder / "without", driver)
        storage = _replica(stack, folder / "storage", driver, store.secret, CollectorVariable.EVENT_HUB)
        event_hub = _replica(stack, folder / "event-hub", driver, hub, CollectorVariable.STORAGE)
        event_hub.count_records = partial(broker.count, topic)
        group = stack.enter_context(CpuGroup("producer", _COLLECTOR_MILLICORES))

        @contextmanager
        def producer() -> Iterator[None]:
            with plain_producer(broker, other_topic, max(1.0, event_hub.records_per_second)) as program:
                group.add(program.pid)
                yield

        yield {
            WITHOUT: Arm(without),
            STORAGE: Arm(storage),
            EVENT_HUB: Arm(event_hub),
            PLAIN_PRODUCER: Arm(without, producer),
        }


def _replica(
    stack: ExitStack,
    folder: Path,
    driver: Driver,
    secret: Mapping[str, str] | None = None,
    other: str = "",
) -> Replica:
    """Start a replica. Without a Secret it does not collect, and `other` is the sink that is off."""
    folder.mkdir()
    pod = stack.enter_context(CpuGroup(folder.name, _SCORING_MILLICORES + _COLLECTOR_MILLICORES))
    scoring = stack.enter_context(CpuGroup("scoring", _SCORING_MILLICORES, pod))
    off = {} if secret else {Variable.COLLECTION_DIR: ""}
    front = stack.enter_context(Front(folder, off, driver))
    scoring.add(front.pid)
    if secret is None:
        return Replica(folder, front, None, driver.body)
    collector = stack.enter_context(CpuGroup("collector", _COLLECTOR_MILLICORES, pod))
    side_car = stack.enter_context(SideCar(folder, secret, {other: "false"}))
    collector.add(side_car.pid)
    return Replica(folder, front, side_car, driver.body)


def _relative(one: Load, reference: Load) -> Throughput:
    return Throughput(
        rate=one.result.per_second / reference.result.per_second,
        p99=one.result.p99_ms / reference.result.p99_ms,
        front_cpu=one.front_microseconds / reference.front_microseconds,
        side_car_mb=one.side_car_mb,
    )


def _combined(figures: Sequence[Throughput], *, lowest: Combine, highest: Combine) -> Throughput:
    """Return one figure of each kind, and the largest memory. `lowest` is for those that should be high."""
    return Throughput(
        rate=lowest(one.rate for one in figures),
        p99=highest(one.p99 for one in figures),
        front_cpu=highest(one.front_cpu for one in figures),
        side_car_mb=max(one.side_car_mb for one in figures),
    )


def _text(loads: Mapping[str, Load]) -> str:
    return ", ".join(
        f"{name} {one.result.per_second:.0f}/s p99 {one.result.p99_ms:.1f} ms {one.front_microseconds:.0f} µs"
        for name, one in loads.items()
    )
