"""Honest clients beside clients without a key or token that attack, for the scoring runtime and the gateway.

Everything is on loopback. The honest client of each server is measured without an attack, beside slow
connections and beside large heads, in turns. The figures are 99th percentiles, their ratio to those without
an attack, and the peak memory of the server.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import yaml
from tests.bench import machine
from tests.bench.hostile.clients import MiB, attack, honest_p99, large_heads, slow_connections
from tests.bench.progress import say

SCORE: Final = (
    b"POST /score HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer key\r\nContent-Length: 9\r\n\r\n[1, 2, 3]"
)
MODELS: Final = (
    b"GET /api/subscriptions/s/resourceGroups/g/accounts/team-a/models?api-version=2017-09-01-preview"
    b" HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer token\r\n\r\n"
)
DRIVER: Final = "def init():\n    pass\ndef run(data):\n    return data\n"
OPEN_FILES: Final = 30_000


def free_port() -> int:
    """Return a port that no program listens at."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


@contextlib.contextmanager
def running(port: int, *arguments: str, **variables: str) -> Iterator[int]:
    """Run a Python module until the block ends; yield its process id once it listens at the port."""
    with subprocess.Popen([sys.executable, "-m", *arguments], env={**os.environ, **variables}) as process:
        try:
            while True:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                time.sleep(0.1)
            yield process.pid
        finally:
            process.kill()


@contextlib.contextmanager
def scoring(folder: Path) -> Iterator[tuple[int, int]]:
    """Run a scoring runtime with a key; yield its port and process id."""
    (folder / "driver.py").write_text(DRIVER)
    (folder / "primaryKey").write_text("key")
    port = free_port()
    settings = {
        "AML_APP_ROOT": str(folder),
        "AZUREML_ENTRY_SCRIPT": "driver.py",
        "MODELYARD_KEYS_DIR": str(folder),
        "MODELYARD_HOST": "127.0.0.1",
        "MODELYARD_PORT": str(port),
    }
    with running(port, "modelyard.scoring", **settings) as pid:
        time.sleep(2)  # init()
        yield port, pid


@contextlib.contextmanager
def gateway(folder: Path) -> Iterator[tuple[int, int]]:
    """Run a gateway with a stand-in of the API server; yield its port and process id."""
    port, api_port = free_port(), free_port()
    config = folder / "gateway.yaml"
    settings = {"apiServer": f"http://127.0.0.1:{api_port}", "host": "127.0.0.1", "port": port}
    config.write_text(yaml.safe_dump({**settings, "logLevel": "WARNING"}))
    with (
        running(api_port, "tests.bench.hostile.api_server", str(api_port)),
        running(port, "modelyard", "gateway", MODELYARD_GATEWAY_CONFIG=str(config)) as pid,
    ):
        yield port, pid


def measure(name: str, port: int, pid: int, request: bytes, arguments: argparse.Namespace) -> None:
    """Print the rows of one server."""

    def p99() -> float:
        return honest_p99(port, request, arguments.seconds)

    def beside(attacker: Callable[[int, int], None], size: int) -> float:
        with attack(attacker, port, size):
            time.sleep(arguments.settle)
            return p99()

    p99()  # warm up
    rounds = [
        (p99(), beside(slow_connections, arguments.connections), beside(large_heads, arguments.head_mb * MiB))
        for _ in range(arguments.rounds)
    ]
    alone, slow, heads = (statistics.median(column) for column in zip(*rounds, strict=True))
    memory = next(
        int(line.split()[1]) // 1024
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )
    say(f"{name} alone: p99 {alone:.1f} ms")
    say(f"{name} beside {arguments.connections} slow connections: {slow:.1f} ms, ratio {slow / alone:.2f}")
    say(f"{name} beside heads of {arguments.head_mb} MB: {heads:.1f} ms, ratio {heads / alone:.2f}")
    say(f"{name} peak memory: {memory} MiB")


def main() -> None:
    """Measure both servers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="the figures are their medians")
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement")
    parser.add_argument("--settle", type=float, default=5, help="seconds between attack and measurement")
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--head-mb", type=int, default=200)
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, most), most))
    say(machine.describe())
    for name, start, request in (("scoring", scoring, SCORE), ("gateway", gateway, MODELS)):
        with tempfile.TemporaryDirectory() as folder, start(Path(folder)) as (port, pid):
            measure(name, port, pid, request, arguments)


if __name__ == "__main__":
    main()
