"""Benchmark of scaling: the cost of asking all replicas for their load (`make bench-scaling`)."""

from __future__ import annotations

import argparse
import sys

from tests.bench.scaling.collector import REPLICAS, SERVICES, measure


def main() -> int:
    """Measure, and print the figures as one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=30, help="time of the measurement (default 30)")
    cost = measure(parser.parse_args().seconds)
    sys.stdout.write(
        f"replicas={SERVICES * REPLICAS} collector_requests_per_second={cost.requests_per_second:.0f}"
        f" collector_cpu={cost.cpu_share:.3f} cpu_us_per_replica_second={cost.cpu_us_of_request:.0f}"
        f" collector_memory_mib={cost.memory_mib} oldest_figure_seconds={cost.oldest_seconds:.2f}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
