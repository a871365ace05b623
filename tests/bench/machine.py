"""The machine of a measurement, for the head of a table."""

import os
import platform
import subprocess
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def describe() -> str:
    """Return cores, CPU and commit, as in `4 cores of AMD EPYC, commit 0123456789ab`."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    commit = subprocess.run(command, cwd=Path(__file__).parent, check=True, capture_output=True, text=True)
    return f"{len(os.sched_getaffinity(0))} cores of {_cpu()}, commit {commit.stdout.strip()}"


def _cpu() -> str:
    """Return the name of the CPU, or the architecture on ARM, whose cpuinfo has no name."""
    named = (line for line in CPUINFO.read_text().splitlines() if line.startswith("model name"))
    return next(named, "").partition(":")[2].strip() or platform.machine()
