"""The start of an operator in a large cluster: the time until all objects are reconciled, and the memory.

The API server is another process on this machine (`large_api_server`), so its memory does not count.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.bench.program import Program
from tests.bench.progress import say
from tests.support.processes import cpu_seconds, memory_kib
from tests.support.servers import free_port

OBJECTS: Final = 10_000
LARGE_MANIFESTS: Final = 400
INLINE_BYTES: Final = 500_000
_KINDS: Final = 4
_SETTLE_SECONDS: Final = 30.0  # kopf's own lists and the first comparison follow the first reconciles


class Start(NamedTuple):
    """The figures of one start."""

    seconds: float  # from the start of the process until the last object has its status
    peak_mb: float  # of resident memory
    cpu_seconds: float  # of the operator
    writes: int


def measure(copies: int, inline_bytes: int = 0) -> Start:
    """Start an operator beside an API server with `copies` chains of four objects; stop both at the end."""
    api_server = Program("tests.bench.operator.large_api_server", str(copies), str(inline_bytes))
    with api_server as server, tempfile.TemporaryDirectory() as folder:
        return _measure(server, Path(folder))


def _measure(server: Program, folder: Path) -> Start:
    kubeconfig, config = folder / "kubeconfig", folder / "settings.yaml"
    kubeconfig.write_text(json.dumps(_kubeconfig(server.line())), encoding="utf-8")
    settings = {"metricsPort": free_port(), "livenessPort": free_port(), "logLevel": "WARNING"}
    config.write_text(json.dumps(settings), encoding="utf-8")
    environment = {"KUBECONFIG": str(kubeconfig), "MODELYARD_CONFIG": str(config)}
    started = time.monotonic()
    with Program("modelyard", "operator", **environment) as operator:
        while server.line() != "reconciled":
            pass
        seconds = time.monotonic() - started
        while time.monotonic() - started < seconds + _SETTLE_SECONDS:
            writes = int(server.line().removeprefix("writes "))
        return Start(
            seconds, memory_kib(operator.pid, "VmHWM") * 1024 / 1e6, cpu_seconds([operator.pid]), writes
        )


def _kubeconfig(url: str) -> dict[str, Any]:
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }


def figures() -> str:
    """Measure both starts and return their figures as a line."""
    many = measure(OBJECTS // _KINDS)
    say(
        f"{OBJECTS} objects with 100,000 versions: {many.seconds:.1f} s, {many.peak_mb:.0f} MB,"
        f" {many.cpu_seconds:.1f} s CPU, {many.writes} writes"
    )
    large = measure(LARGE_MANIFESTS, INLINE_BYTES)
    say(f"{LARGE_MANIFESTS} Manifests of 500 kB: {large.seconds:.1f} s, {large.peak_mb:.0f} MB")
    return (
        f"start_s_10k={many.seconds:.1f} peak_mb_100k={many.peak_mb:.0f}"
        f" peak_mb_{LARGE_MANIFESTS}x500k={large.peak_mb:.0f}"
    )


if __name__ == "__main__":
    print(figures())
