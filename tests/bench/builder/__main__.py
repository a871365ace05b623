"""`make bench-build`: time of builds beside other builders, and time from a change to its first answer.

It writes docs/building-bench.md. Ratios are comparable between machines, seconds are not.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.bench.builder import (
    in_cluster,
    local,
)
from tests.bench.builder.report import report
from tests.support.cluster import ROOT


def main() -> None:
    """Measure builds on this machine, then builds in the cluster, and write the report."""
    folder = Path(tempfile.mkdtemp(prefix="bench-build-"))
    try:
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


if __name__ == "__main__":
    main()
