"""The benchmark of scoring: `python -m tests.bench.scoring [ROUNDS]`.

All servers run at the same time. Each round measures one after the other, so that a busy machine is busy for
all of them. Figures are medians of rounds, ratios are medians of ratios within a round. The benchmark writes
docs/scoring-bench.md, and prints one line of ratios at its end. It fails if a probe takes too long.
"""

import select
import socket
import statistics
import sys
import time
import urllib.request
from collections import defaultdict
from dataclasses import dataclass

from tests.bench import machine
from tests.bench.scoring.async_driver import async_line, measured_async
from tests.bench.scoring.load import Result, load, need_wrk
from tests.bench.scoring.servers import (
    AZMLINFSRV,
    BUILD,
    ECHO,
    KEY,
    KSERVE,
    LARGE,
    OUR_SERVERS,
    OURS,
    OURS_HINTS,
    ROOT,
    SERVERS,
    TINY,
    Running,
    Server,
    install,
    install_runtime,
)
from tests.bench.scoring.streams import measured_streams, stream_line
from tests.bench.scoring.tensors import measured_tensors, tensor_line

TABLE = ROOT / "docs" / "scoring-bench.md"
LOADS = {"c1": (TINY, 1), "c32": (TINY, 32), "100 KB c1": (LARGE, 1), "100 KB c32": (LARGE, 32)}
SECONDS = 2
COLD_STARTS = 5

BUSY_DRIVER_MS = 2
NO_OVERLOAD_CONNECTIONS = 32
OVERLOAD_CONNECTIONS = (512, 1500)
AFTERMATH_SECONDS = 1
"""Wait after each load: requests in the queue are scored after wrk has ended."""

PROBE_SECONDS = 5
MAX_PROBE_MS = 100
"""The kubelet's timeout is 5 s; a fiftieth of it leaves room for busy machines."""

Figures = dict[str, dict[str, list[Result]]]


def main() -> int:
    """Run the benchmark, write the table, and return the exit code."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    need_wrk()
    for server in SERVERS:
        print(f"install {server.name}", flush=True)
        install(server)
    install_runtime()
    cold = {server.name: cold_seconds(server) for server in SERVERS}
    running = [Running(server) for server in SERVERS]
    try:
        figures, cpu = measured(running, rounds)
        memory = {one.server.name: one.memory_mb() for one in running}
    finally:
        for one in running:
            one.stop()
    probes = probe_milliseconds()
    streams, asynchronous, tensors = measured_streams(), measured_async(), measured_tensors()
    more = [*overload_lines(overloaded(rounds)), "", probe_line(probes), "", stream_line(streams), ""]
    more += [async_line(asynchronous), "", tensor_line(tensors), ""]
    TABLE.write_text("\n".join([*table(figures, cpu, memory, cold, rounds), *more]))
    print(TABLE.read_text())
    print(
        f"c32_vs_azmlinfsrv={ratio(figures, 'c32', AZMLINFSRV):.1f}",
        f"c32_vs_echo={ratio(figures, 'c32', ECHO):.2f}",
        f"c32_100k_vs_kserve={ratio(figures, '100 KB c32', KSERVE, OURS_HINTS):.1f}",
        f"c1_vs_azmlinfsrv={ratio(figures, 'c1', AZMLINFSRV):.1f}",
        f"rss_mb={memory[OURS.name][0]:.0f}",
        f"cold_s={cold[OURS.name]:.2f}",
        f"stream_first_byte_ms={streams.first_byte_ms:.2f}",
        f"stream_gb_growth_mb={streams.growth_mb:.0f}",
        f"async_c64_of_possible={asynchronous.share:.2f}",
        f"tensor_10mb_vs_json={tensors.ratio:.1f}",
    )
    return exit_code(probes)


def exit_code(probes: list[float]) -> int:
    """Return 1 if a probe, in milliseconds, took too long: the driver then delays the front."""
    if max(probes) <= MAX_PROBE_MS:
        return 0
    print(f"the slowest probe took {max(probes):.0f} ms, more than {MAX_PROBE_MS} ms", file=sys.stderr)
    return 1


def cold_seconds(server: Server) -> float:
    """Return the shortest time from the start of a process to its first response, of several starts."""
    times = []
    for _ in range(COLD_STARTS):
        with Running(server) as one:
            times.append(one.cold_seconds)
    return min(times)


def measured(running: list[Running], rounds: int) -> tuple[Figures, dict[str, float]]:
    """Return the results, and each server's CPU time per request at c32, in microseconds.

    CPU time hardly depends on other programs.
    """
    figures: Figures = defaultdict(lambda: defaultdict(list))
    cpu: dict[str, list[float]] = defaultdict(list)
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", flush=True)
        for name, (numbers, connections) in LOADS.items():
            for one in running:
                before = one.cpu_seconds()
                result = load(one.url, one.server.body(numbers), connections, SECONDS)
                figures[one.server.name][name].append(result)
                if name == "c32":
                    responses = (result.per_second + result.refused_per_second) * SECONDS
                    cpu[one.server.name].append((one.cpu_seconds() - before) / responses * 1e6)
    return figures, {name: statistics.median(values) for name, values in cpu.items()}


@dataclass(frozen=True)
class Overload:
    """One round: many connections, relative to few of which none is refused."""

    connections: int
    refused_per_accepted: float
    accepted: float
    """Accepted requests per second, relative to those of few connections."""
    accepted_per_cpu: float
    """The same per CPU second of the server, which depends less on other programs."""


def overloaded(rounds: int) -> list[Overload]:
    """Measure many connections. The driver spends CPU time, so that the cost of refusals shows."""
    driver = BUILD / "busy.py"
    driver.write_text(
        "import time\ndef init(): pass\ndef run(data):\n"
        f"    until = time.thread_time() + {BUSY_DRIVER_MS / 1000}\n"
        "    while time.thread_time() < until: pass\n    return 1\n"
    )
    settings = {"AML_APP_ROOT": str(driver.parent), "AZUREML_ENTRY_SCRIPT": driver.name}
    found = []
    with Running(OURS, settings) as one:

        def measure(connections: int) -> tuple[Result, float]:
            time.sleep(AFTERMATH_SECONDS)
            before = one.cpu_seconds()
            result = load(one.url, "x", connections, SECONDS, niced=True)
            return result, result.per_second * SECONDS / (one.cpu_seconds() - before)

        for _ in range(rounds):
            enough, enough_per_cpu = measure(NO_OVERLOAD_CONNECTIONS)
            for connections in OVERLOAD_CONNECTIONS:
                much, much_per_cpu = measure(connections)
                refused = much.refused_per_second / much.per_second
                accepted = much.per_second / enough.per_second
                found.append(Overload(connections, refused, accepted, much_per_cpu / enough_per_cpu))
    return found


def probe_milliseconds() -> list[float]:
    """Return the times of probes, one after the other, while a C call in run() holds the GIL."""
    driver = BUILD / "holds_the_gil.py"
    driver.write_text(
        "import ctypes\ndef init(): pass\ndef run(data):\n"
        "    if data == 'hold': ctypes.PyDLL(None).sleep(3600)\n    return 1\n"
    )
    settings = {"AML_APP_ROOT": str(driver.parent), "AZUREML_ENTRY_SCRIPT": driver.name}
    taken = []
    with (
        Running(OURS, settings) as one,
        socket.create_connection(("127.0.0.1", one.port)) as busy,
    ):
        head = f"POST /score HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: 4"
        busy.sendall(f"{head}\r\n\r\nhold".encode())
        until = time.monotonic() + PROBE_SECONDS
        while time.monotonic() < until:
            for path in ("/", "/ready"):
                started = time.perf_counter()
                with urllib.request.urlopen(f"http://127.0.0.1:{one.port}{path}") as answer:
                    answer.read()
                taken.append((time.perf_counter() - started) * 1000)
            time.sleep(0.01)
        if select.select([busy], [], [], 0)[0]:
            raise RuntimeError("run() ended during the measurement")
    return taken


def ratio(figures: Figures, name: str, other: Server, ours: Server = OURS) -> float:
    """Return the rate of a server relative to another, the median of all rounds."""
    pairs = zip(figures[ours.name][name], figures[other.name][name], strict=True)
    return statistics.median(mine.per_second / theirs.per_second for mine, theirs in pairs)


def table(
    figures: Figures,
    cpu: dict[str, float],
    memory: dict[str, tuple[float, float]],
    cold: dict[str, float],
    rounds: int,
) -> list[str]:
    """Return the lines of the tables of rates, memory and start times."""
    lines = [
        "# Speed of the scoring runtime beside others",
        "",
        f"Generated by `make bench-scoring`: medians of {rounds} interleaved rounds of {SECONDS} s with wrk",
        "on loopback. Each server has one worker. All share a machine with wrk: compare ratios, not figures.",
        f"Measured on {machine.describe()}.",
        "The runtime has keys, queue, limits and metrics on. Memory is summed over a server's processes.",
        "",
        "| server | " + " | ".join(f"{name} /s" for name in LOADS) + " | p99 c1 ms | p99 c32 ms"
        " | CPU µs a request, c32 | RSS MB | PSS MB | cold s |",
        "|---|" + "---|" * (len(LOADS) + 6),
    ]
    for server in SERVERS:
        mine = figures[server.name]
        speeds = [f"{statistics.median(one.per_second for one in mine[name]):.0f}" for name in LOADS]
        tails = [f"{statistics.median(one.p99_ms for one in mine[name]):.1f}" for name in ("c1", "c32")]
        rss, pss = memory[server.name]
        rest = [f"{cpu[server.name]:.0f}", f"{rss:.0f}", f"{pss:.0f}", f"{cold[server.name]:.2f}"]
        lines.append(f"| {server.name} | " + " | ".join([*speeds, *tails, *rest]) + " |")
    others = [server for server in SERVERS if server not in OUR_SERVERS]
    for ours in OUR_SERVERS:
        heading = f"| {ours.name}, relative to | " + " | ".join(LOADS) + " |"
        lines += ["", heading, "|---|" + "---|" * len(LOADS)]
        for server in others:
            ratios = [f"{ratio(figures, name, server, ours):.2f}" for name in LOADS]
            lines.append(f"| {server.name} | " + " | ".join(ratios) + " |")
    lines += [
        "",
        "A driver without type hints parses its body. Measured once: json.loads takes 1.7 ms for 100 KB,",
        "orjson 0.14 ms. In a profile of the worker json.loads has 87 % of the working time. So the rows of",
        "orjson, which kserve uses, compare servers. The first row is a driver with the standard library.",
        "In the rows of the type hint, the runtime decodes the JSON of the unchanged driver.",
        "In the last line, c32_100k_vs_kserve is the rate of the type hint relative to kserve, 100 KB c32.",
    ]
    return [*lines, ""]


def overload_lines(rounds: list[Overload]) -> list[str]:
    """Return the lines of the table of overload."""
    lines = [
        f"Overload: each run() takes {BUSY_DRIVER_MS} ms of CPU time, and clients ignore Retry-After.",
        f"Figures are relative to {NO_OVERLOAD_CONNECTIONS} connections, of which none is refused.",
        "wrk runs niced, since it would otherwise compete with the server for few cores.",
        "CPU seconds are those of all processes of the server.",
        "",
        "| connections | refused per accepted | accepted | accepted per CPU second |",
        "|---|---|---|---|",
    ]
    for connections in OVERLOAD_CONNECTIONS:
        mine = [one for one in rounds if one.connections == connections]
        values = [
            statistics.median(getattr(one, name) for one in mine)
            for name in ("refused_per_accepted", "accepted", "accepted_per_cpu")
        ]
        lines.append(f"| {connections} | " + " | ".join(f"{value:.2f}" for value in values) + " |")
    return lines


def probe_line(taken: list[float]) -> str:
    """Return a sentence with the median and the longest time of the probes, in milliseconds."""
    middle, worst = statistics.median(taken), max(taken)
    return (
        f"Probes (`/`, `/ready`) while run() holds the GIL in C: {len(taken)} in {PROBE_SECONDS} s."
        f" The median took {middle:.1f} ms, the slowest {worst:.1f} ms."
    )


if __name__ == "__main__":
    sys.exit(main())
