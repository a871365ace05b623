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
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from tests.bench.collect.cpu_groups import CpuGroup
from tests.bench.collect.drivers import Driver
from tests.bench.collect.object_store import ObjectStore
from tests.bench.collect.plain_records import PlainProducer, warm_up
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


@dataclass
class Replica:
    """A running replica, and its figures of the last round."""

    folder: Path
    front: Front
    side_car: SideCar | None
    body: str
    """The body of each request."""
    count_records: Callable[[], int] = lambda: 0
    """Returns the number of records on the topic."""
    beside: Callable[[], AbstractContextManager[object]] = nullcontext
    """A program that runs during each load."""
    last: Result = field(init=False)
    records_per_second: float = field(init=False)
    """Records on the topic in each second of the last load."""
    front_microseconds: float = field(init=False)
    """CPU time of the scoring server for a request."""

    def measure(self, seconds: int) -> None:
        """Send load for some seconds, and note the figures."""
        records = self.count_records()
        with self.beside():
            before = cpu_seconds(tree(self.front.pid))
            self.last = self.load(seconds)
            spent = cpu_seconds(tree(self.front.pid)) - before
        self.records_per_second = (self.count_records() - records) / seconds
        self.front_microseconds = spent / (self.last.per_second * seconds) * 1e6
        if self.side_car:
            self.side_car.measure()

    def load(self, seconds: int) -> Result:
        """Send load for some seconds."""
        return load(f"http://127.0.0.1:{self.front.port}/score", self.body, CONNECTIONS, seconds)

    def wait_for_delivery(self) -> None:
        """Wait until the side-car has delivered all complete segments."""
        if side_car := self.side_car:
            spool = self.folder / "spool"
            wait_until(
                lambda: not any(spool.glob("*.segment")), lambda: f"segments are left: {side_car.state()}"
            )


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
        with tempfile.TemporaryDirectory() as folder, _replicas(Path(folder), driver) as replicas:
            _warm_up(replicas)
            for number in range(rounds):
                # The store writes to its disk after a delivery, at the cost of the next replica. An even
                # number of rounds shares this cost equally.
                _measure(replicas, seconds, backwards=number % 2 == 1)
                say(f"start {start + 1} of {starts}, round {number + 1} of {rounds}: {_last(replicas)}")
                for (name, reference), found in pairs.items():
                    found.append(_relative(replicas[name], replicas[reference]))
    median = statistics.median
    return {pair: _combined(found, lowest=median, highest=median) for pair, found in pairs.items()}


def _warm_up(replicas: dict[str, Replica]) -> None:
    say("warm up the replicas")
    for replica in replicas.values():
        replica.measure(_WARM_UP_SECONDS)
        replica.wait_for_delivery()


def _measure(replicas: dict[str, Replica], seconds: int, *, backwards: bool) -> None:
    for name in reversed(replicas) if backwards else replicas:
        replicas[name].measure(seconds)
        replicas[name].wait_for_delivery()


@contextmanager
def _replicas(folder: Path, driver: Driver) -> Iterator[dict[str, Replica]]:
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
        def plain_producer() -> Iterator[None]:
            with PlainProducer(broker, other_topic, max(1.0, event_hub.records_per_second)) as producer:
                group.add(producer.pid)
                yield

        yield {
            WITHOUT: without,
            STORAGE: storage,
            EVENT_HUB: event_hub,
            PLAIN_PRODUCER: replace(without, beside=plain_producer),
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


def _relative(replica: Replica, reference: Replica) -> Throughput:
    """Return the figures of the last round."""
    load, other = replica.last, reference.last
    return Throughput(
        rate=load.per_second / other.per_second,
        p99=load.p99_ms / other.p99_ms,
        front_cpu=replica.front_microseconds / reference.front_microseconds,
        side_car_mb=replica.side_car.peak_mb if replica.side_car else 0.0,
    )


def _combined(figures: Sequence[Throughput], *, lowest: Combine, highest: Combine) -> Throughput:
    """Return one figure of each kind, and the largest memory. `lowest` is for those that should be high."""
    return Throughput(
        rate=lowest(one.rate for one in figures),
        p99=highest(one.p99 for one in figures),
        front_cpu=highest(one.front_cpu for one in figures),
        side_car_mb=max(one.side_car_mb for one in figures),
    )


def _last(replicas: dict[str, Replica]) -> str:
    return ", ".join(
        f"{name} {replica.last.per_second:.0f}/s p99 {replica.last.p99_ms:.1f} ms"
        f" {replica.front_microseconds:.0f} µs"
        for name, replica in replicas.items()
    )
