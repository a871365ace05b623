"""`make bench-build`: time of builds beside other builders, and time from a change to its first answer.

It writes docs/building-bench.md. Ratios are comparable between machines, seconds are not. With `--walls` it
measures the price of the second container of a build's pod only, in about 3 minutes, and writes nothing.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from tests.bench.builder import (
    in_cluster,
    local,
    walls,
)
from tests.bench.builder.report import report
from tests.support.cluster import ROOT


def main() -> None:
    """Measure builds on this machine, then builds in the cluster, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--walls", action="store_true", help="only one container against two")
    only_walls = parser.parse_args().walls
    folder = Path(tempfile.mkdtemp(prefix="bench-build-"))
    try:
        if only_walls:
            _print_walls(in_cluster.measure_walls(folder))
            return
        here = local.measure(folder)
        there = in_cluster.measure(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    (ROOT / "docs/building-bench.md").write_text(report(here, there), encoding="utf-8")
    print(
        f"cold_s={there.cold:.1f} changed_model_s={there.changed_model:.1f} reuse_s={there.reuse:.1f}"
        f" first_answer_s={there.first_answer:.1f} first_answer_bare_s={there.first_answer_bare:.1f}"
    )
    print(
        f"changed_vs_curl={here.changed_vs_curl:.2f} first_vs_docker={here.first_vs_docker:.1f}"
        f" env_bytes_second={here.environment_bytes_second} rss_mb_2gb={here.large_peak_mb:.0f}"
        f" apply_to_serving_s={there.rollout.seconds:.1f}"
    )
    _print_walls(there.walls)


def _print_walls(found: walls.Walls) -> None:
    print(
        f"one_container_s={found.one_container:.2f} two_containers_s={found.two_containers:.2f}"
        f" walls_s={found.difference:.2f}"
    )


if __name__ == "__main__":
    main()
