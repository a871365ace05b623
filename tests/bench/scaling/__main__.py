"""Benchmark of scaling (`make bench-scaling`): its parts are the arguments, and its figures are one line.

The part `collector` is the cost of asking all replicas for their load. The part `step` is a step of load, and
a steady load after it, in the local cluster. The part `zero` is the first response from zero, and warm
requests. The part `cycles` sends numbered requests to Services that go to 0 and back, while parts are killed.
The part `held` sends many requests to Services whose first replica cannot start.
"""

from __future__ import annotations

import argparse

from tests.bench.machine import describe
from tests.bench.progress import say
from tests.bench.scaling import collector, cycles, held, step, zero

PARTS = ("collector", "step", "zero", "cycles", "held")


def _collector(seconds: int) -> str:
    say(f"collector: {collector.SERVICES * collector.REPLICAS} replicas for {seconds} s")
    cost = collector.measure(seconds)
    return (
        f"replicas={collector.SERVICES * collector.REPLICAS}"
        f" collector_requests_per_second={cost.requests_per_second:.0f}"
        f" collector_cpu={cost.cpu_share:.3f} cpu_us_per_replica_second={cost.cpu_us_of_request:.0f}"
        f" collector_memory_mib={cost.memory_mib} oldest_figure_seconds={cost.oldest_seconds:.2f}"
    )


def _step(minutes: float) -> str:
    figures = step.measure(minutes)
    return (
        f"step_replicas={step.REPLICAS} step_seconds={figures.seconds:.1f} steady_minutes={minutes:g}"
        f" steady_replicas={figures.replicas} steady_changes={figures.changes}"
        f" cpu_replicas={figures.cpu_replicas}"
    )


def _zero(rounds: int) -> str:
    figures = zero.measure(rounds)
    wake, late = (zero.percentile(figures.wakes, percent) for percent in (50, 95))
    floor = zero.percentile(figures.floors, 50)
    return (
        f"zero_cycles={rounds} wake_p50_seconds={wake:.2f} wake_p95_seconds={late:.2f}"
        f" bare_p50_seconds={floor:.2f} wake_to_bare={wake / floor:.2f} warm_ratio={figures.warm_ratio:.3f}"
    )


def main() -> None:
    """Measure the parts, and print the figures as one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--seconds", type=int, default=30, help="time of the part collector (default 30)")
    parser.add_argument("--minutes", type=float, default=10, help="steady load of the part step (default 10)")
    parser.add_argument("--cycles", type=int, help="cycles of the part zero (20), or least of cycles (100)")
    parser.add_argument("--requests", type=int, help="least of the part cycles (100000), or of held (10000)")
    parser.add_argument("--seed", type=int, default=1, help="times of the part cycles (default 1)")
    arguments = parser.parse_args()
    parts = arguments.parts or PARTS
    figures = []
    if "collector" in parts:
        figures.append(_collector(arguments.seconds))
    if "step" in parts:
        figures.append(_step(arguments.minutes))
    if "zero" in parts:
        figures.append(_zero(arguments.cycles or 20))
    if "cycles" in parts:
        least = (arguments.cycles or 100, arguments.requests or 100_000)
        figures.append(cycles.measure(*least, arguments.seed).line())
    if "held" in parts:
        figures.append(held.measure(arguments.requests or 10_000).line())
    say(describe())
    print("scaling:", *figures)


if __name__ == "__main__":
    main()
