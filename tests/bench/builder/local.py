"""What a build takes with no cluster around it, in turn with others that do the same on this machine."""

from __future__ import annotations

import contextlib
import statistics
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.builder.others import (
    Dockerfiles,
    buildkit,
    crane,
    curl,
    docker,
    piped,
)
from tests.bench.builder.ours import (
    DRIVER,
    Built,
    Ours,
)
from tests.bench.builder.registry import (
    BenchRegistry,
    bench_registry,
)
from tests.bench.builder.source import (
    MB,
    Model,
    Source,
    source,
)
from tests.bench.progress import say

FIRST_ROUNDS: Final = 3
CHANGED_ROUNDS: Final = 7
CHANGED_BYTES: Final = 100 * MB
LARGE_BYTES: Final = 2000 * MB
_SMALL_BYTES: Final = MB
_RUNTIME: Final = "httptools==0.9.0\nuvloop==0.23.0\n"  # ours brings these along

Seconds = dict[str, list[float]]
OURS: Final = "modelyard"


@dataclass(frozen=True)
class Figures:
    """Seconds by who took them, a value a round; bytes; MB."""

    first: Seconds
    changed: Seconds
    environment_bytes: int
    environment_bytes_second: int
    start_seconds: float
    peak_mb: float
    large_seconds: float
    large_peak_mb: float

    @property
    def first_vs_docker(self) -> float:
        """How many times as long `docker build` and push take; the median of the rounds' ratios."""
        return _ratio(self.first["docker"], self.first[OURS])

    @property
    def changed_vs_curl(self) -> float:
        """How many times as long as curl ours takes; the median of the rounds' ratios."""
        return _ratio(self.changed[OURS], self.changed["curl"])


def _ratio(numerators: list[float], denominators: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(numerators, denominators, strict=True))


def measure(folder: Path) -> Figures:
    """All of it; minutes."""
    with _bench(folder) as bench:
        first, requirements = bench.first()
        changed, builds = bench.changed(requirements)
        environment_bytes, sent = bench.second(requirements)
        large = bench.large(requirements)
    return Figures(
        first,
        changed,
        environment_bytes,
        sent,
        start_seconds=statistics.median(built.start_seconds for built in builds),
        peak_mb=max(built.peak_mb for built in builds),
        large_seconds=large.seconds,
        large_peak_mb=large.peak_mb,
    )


@contextlib.contextmanager
def _bench(folder: Path) -> Iterator[_Bench]:
    with (
        bench_registry(folder / "registry") as registry,
        source(folder / "models") as models,
        docker(registry) as engine,
        buildkit(registry, folder / "buildkit") as daemon,
    ):
        rivals = [Dockerfiles(builder, registry, folder / builder.name) for builder in (engine, daemon)]
        yield _Bench(registry, models, Ours(folder / "ours", registry), rivals)


@dataclass(frozen=True)
class _Bench:
    registry: BenchRegistry
    models: Source
    ours: Ours
    rivals: list[Dockerfiles]

    def first(self) -> tuple[Seconds, str]:
        """And the requirements of an environment that the registry has then."""
        seconds: Seconds = defaultdict(list)
        for number in range(FIRST_ROUNDS):
            requirements = f"scikit-learn==1.7.2\n# {uuid.uuid4()}\n"  # so no layer of it is there
            with self.models.model(_SMALL_BYTES) as model:
                seconds[OURS].append(self.ours.build(requirements, model.url).seconds)
                for rival in self.rivals:
                    seconds[rival.name].append(rival.first(requirements + _RUNTIME, model, DRIVER))
            _say(f"first build, round {number + 1}", seconds)
        return seconds, requirements

    def changed(self, requirements: str) -> tuple[Seconds, list[Built]]:
        """And what ours were."""
        seconds: Seconds = defaultdict(list)
        builds = []

        def ours(model: Model) -> float:
            built = self.ours.build(requirements, model.url)
            builds.append(built)
            return built.seconds

        sends: dict[str, Callable[[Model], float]] = {
            OURS: ours,
            "curl": lambda model: _timed(lambda: curl(self.registry, model)),
            "curl piped": lambda model: _timed(lambda: piped(self.registry, model)),
            "crane append": lambda model: _timed(lambda: crane(self.registry, model)),
            **{rival.name: rival.changed for rival in self.rivals},
        }
        for number in range(CHANGED_ROUNDS):
            for name, send in sends.items():
                with self.models.model(CHANGED_BYTES) as model:  # each its own: nothing is there already
                    seconds[name].append(send(model))
            _say(f"changed model, round {number + 1}", seconds)
        return seconds, builds

    def second(self, requirements: str) -> tuple[int, int]:
        """Bytes of the environment's layer, and how many of them another image with it sent."""
        with self.models.model(_SMALL_BYTES) as model:
            first = self.ours.build(requirements, model.url)
            environment = self.registry.environment_layer(first.reference)
            before = self.registry.sent(environment["digest"])
            second = self.ours.build(requirements, model.url, image="second", driver=f"{DRIVER}# second\n")
        if self.registry.environment_layer(second.reference) != environment:
            raise SystemExit("the second image has an environment of its own")
        return environment["size"], (self.registry.sent(environment["digest"]) - before) * environment["size"]

    def large(self, requirements: str) -> Built:
        """A model that does not fit into the memory that a build may take."""
        with self.models.model(LARGE_BYTES) as model:
            return self.ours.build(requirements, model.url)


def _timed(work: Callable[[], None]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def _say(what: str, seconds: Seconds) -> None:
    say(f"{what}: " + ", ".join(f"{name} {values[-1]:.2f} s" for name, values in seconds.items()))
