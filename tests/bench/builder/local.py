"""Builds without a cluster, measured in turn with other builders on this machine."""

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

from tests.bench.builder.build_process import (
    DRIVER,
    BuildProcess,
    FinishedBuild,
)
from tests.bench.builder.other_builders import (
    DockerfileBench,
    buildkit,
    crane,
    curl,
    docker,
    piped,
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
_RUNTIME: Final = (
    "httptools==0.9.0\nuvloop==0.23.0\n"  # the packages that the Layers builder adds to each image
)

Seconds = dict[str, list[float]]
MODELYARD: Final = "modelyard"


@dataclass(frozen=True)
class Figures:
    """Seconds of each round by builder, sizes in bytes, and memory in MB."""

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
        """Return the time of `docker build` and push relative to Modelyard, the median of all rounds."""
        return _ratio(self.first["docker"], self.first[MODELYARD])

    @property
    def changed_vs_curl(self) -> float:
        """Return the time of Modelyard relative to curl, the median of all rounds."""
        return _ratio(self.changed[MODELYARD], self.changed["curl"])


def _ratio(numerators: list[float], denominators: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(numerators, denominators, strict=True))


def measure(folder: Path) -> Figures:
    """Measure everything, which takes minutes."""
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
        other_builders = [
            DockerfileBench(builder, registry, folder / builder.name) for builder in (engine, daemon)
        ]
        yield _Bench(registry, models, BuildProcess(folder / "modelyard", registry), other_builders)


@dataclass(frozen=True)
class _Bench:
    registry: BenchRegistry
    models: Source
    modelyard: BuildProcess
    other_builders: list[DockerfileBench]

    def first(self) -> tuple[Seconds, str]:
        """Measure first builds. Returns also the requirements of an environment that is cached afterwards."""
        seconds: Seconds = defaultdict(list)
        for number in range(FIRST_ROUNDS):
            requirements = f"scikit-learn==1.7.2\n# {uuid.uuid4()}\n"  # no layer with it is cached
            with self.models.model(_SMALL_BYTES) as model:
                seconds[MODELYARD].append(self.modelyard.build(requirements, model.url).seconds)
                for other in self.other_builders:
                    seconds[other.name].append(other.first(requirements + _RUNTIME, model, DRIVER))
            _say(f"first build, round {number + 1}", seconds)
        return seconds, requirements

    def changed(self, requirements: str) -> tuple[Seconds, list[FinishedBuild]]:
        """Measure builds of a changed model. Returns also the builds of Modelyard."""
        seconds: Seconds = defaultdict(list)
        builds = []

        def modelyard(model: Model) -> float:
            built = self.modelyard.build(requirements, model.url)
            builds.append(built)
            return built.seconds

        sends: dict[str, Callable[[Model], float]] = {
            MODELYARD: modelyard,
            "curl": lambda model: _timed(lambda: curl(self.registry, model)),
            "curl piped": lambda model: _timed(lambda: piped(self.registry, model)),
            "crane append": lambda model: _timed(lambda: crane(self.registry, model)),
            **{other.name: other.changed for other in self.other_builders},
        }
        for number in range(CHANGED_ROUNDS):
            for name, send in sends.items():
                with self.models.model(CHANGED_BYTES) as model:  # a new model, so that no registry has it
                    seconds[name].append(send(model))
            _say(f"changed model, round {number + 1}", seconds)
        return seconds, builds

    def second(self, requirements: str) -> tuple[int, int]:
        """Return the size of the environment's layer, and the bytes of it that a second image sends."""
        with self.models.model(_SMALL_BYTES) as model:
            first = self.modelyard.build(requirements, model.url)
            environment = self.registry.environment_layer(first.reference)
            before = self.registry.upload_count(environment["digest"])
            second = self.modelyard.build(
                requirements, model.url, image="second", driver=f"{DRIVER}# second\n"
            )
        if self.registry.environment_layer(second.reference) != environment:
            raise SystemExit("the second image has an environment of its own")
        return environment["size"], (
            self.registry.upload_count(environment["digest"]) - before
        ) * environment["size"]

    def large(self, requirements: str) -> FinishedBuild:
        """Build an image with a model that exceeds the memory of a build."""
        with self.models.model(LARGE_BYTES) as model:
            return self.modelyard.build(requirements, model.url)


def _timed(work: Callable[[], None]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def _say(title: str, seconds: Seconds) -> None:
    say(f"{title}: " + ", ".join(f"{name} {values[-1]:.2f} s" for name, values in seconds.items()))
