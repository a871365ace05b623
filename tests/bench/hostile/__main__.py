"""Honest clients beside clients without a key or token that attack, for the scoring runtime and the gateway.

Everything is on loopback. The honest client of each server is measured without an attack and beside each
attack, in turns. The figures are medians: the 99th percentile, its ratio to the one without an attack, and
the CPU time of the server per second.
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
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, NamedTuple

import yaml
from tests.bench import machine
from tests.bench.hostile.clients import (
    Attacker,
    HonestClient,
    MiB,
    attack,
    large_heads,
    silent_connections,
    slow_connections,
    slow_handshakes,
)
from tests.bench.progress import say
from tests.support.certificates import certificate_for
from tests.support.processes import cpu_seconds, memory_kib, tree

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


class Target(NamedTuple):
    """A running server and its honest client."""

    pid: int
    client: HonestClient


@contextlib.contextmanager
def scoring(folder: Path) -> Iterator[Target]:
    """Run a scoring runtime with a key."""
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
        yield Target(pid, HonestClient(port, SCORE))


@contextlib.contextmanager
def gateway(folder: Path, authority: Path | None = None, **more: str) -> Iterator[Target]:
    """Run a gateway with a stand-in of the API server."""
    port, api_port = free_port(), free_port()
    config = folder / "gateway.yaml"
    settings = {"apiServer": f"http://127.0.0.1:{api_port}", "host": "127.0.0.1", "port": port, **more}
    config.write_text(yaml.safe_dump({**settings, "logLevel": "WARNING"}))
    with (
        running(api_port, "tests.bench.hostile.api_server", str(api_port)),
        running(port, "modelyard", "gateway", MODELYARD_GATEWAY_CONFIG=str(config)) as pid,
    ):
        yield Target(pid, HonestClient(port, MODELS, authority))


@contextlib.contextmanager
def gateway_with_tls(folder: Path) -> Iterator[Target]:
    """Run a gateway with a certificate, whose client makes a handshake for each request."""
    files = certificate_for("127.0.0.1", folder)
    paths = {"tlsCertificatePath": str(files.certificate), "tlsKeyPath": str(files.key)}
    with gateway(folder, files.authority, **paths) as target:
        yield target


class Attack(NamedTuple):
    """An attack: its size, and the seconds from its start to a measurement."""

    name: str
    attacker: Attacker
    size: int
    settle_seconds: float


def measure(name: str, target: Target, attacks: list[Attack], rounds: int, seconds: float) -> None:
    """Print the rows of one server."""

    def figures() -> tuple[float, float]:
        before = cpu_seconds(tree(target.pid))
        p99 = target.client.p99(seconds)
        return p99, (cpu_seconds(tree(target.pid)) - before) / seconds

    def beside(attacker: Attack) -> tuple[float, float]:
        with attack(attacker.attacker, target.client.port, attacker.size):
            time.sleep(attacker.settle_seconds)
            return figures()

    figures()  # warm up
    turns = [(figures(), [beside(one) for one in attacks]) for _ in range(rounds)]
    alone = statistics.median(p99 for (p99, _), _ in turns)
    cpu = statistics.median(cpu for (_, cpu), _ in turns)
    say(f"{name} alone: p99 {alone:.1f} ms, CPU {cpu:.2f} s/s")
    for place, one in enumerate(attacks):
        p99 = statistics.median(found[place][0] for _, found in turns)
        ratio = statistics.median(found[place][0] / p99 for (p99, _), found in turns)
        cpu = statistics.median(found[place][1] for _, found in turns)
        say(f"{name} beside {one.name}: p99 {p99:.1f} ms, ratio {ratio:.2f}, CPU {cpu:.2f} s/s")
    say(f"{name} peak memory: {memory_kib(target.pid, 'VmHWM') // 1024} MiB")


def main() -> None:
    """Measure the servers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="the figures are their medians")
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--head-mb", type=int, default=200)
    parser.add_argument("--only", default="", help="part of the name of a server")
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, most), most))
    say(machine.describe())
    count = arguments.connections
    # The servers end slow heads and handshakes after 10 s: the measurement includes that.
    slow = Attack(f"{count} slow connections", slow_connections, count, 8)
    heads = Attack(f"heads of {arguments.head_mb} MB", large_heads, arguments.head_mb * MiB, 1)
    handshakes = Attack(f"{count} slow handshakes", slow_handshakes, count, 2)
    silent = Attack(f"{count} silent connections", silent_connections, count, 2)
    servers: list[tuple[str, Callable[[Path], AbstractContextManager[Target]], list[Attack]]] = [
        ("scoring", scoring, [slow, heads]),
        ("gateway", gateway, [slow, heads]),
        ("gateway with TLS", gateway_with_tls, [handshakes, silent]),
    ]
    for name, start, attacks in servers:
        if arguments.only in name:
            with tempfile.TemporaryDirectory() as folder, start(Path(folder)) as target:
                measure(name, target, attacks, arguments.rounds, arguments.seconds)


if __name__ == "__main__":
    main()
