"""What to build on: `python -m tests.bench.scoring.ways [ROUNDS]` prints the table of docs/scoring.md.

Ratios to the bare ASGI echo on uvicorn within a round; a driver's request at c1 and c32.
"""

import statistics
import sys
from collections import defaultdict

from tests.bench.scoring.load import load, need_wrk
from tests.bench.scoring.servers import ECHO, TINY, Running, Server, as_data, install

SECONDS = 2
WAYS = tuple(
    Server(name, "ways", f"{{python}} {{peers}}/architectures.py {name} {{port}}")
    for name in ("echo", "inline", "thread", "process")
)


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    need_wrk()
    for server in (ECHO, WAYS[0]):
        install(server)
    running = [Running(server) for server in (ECHO, *WAYS)]
    ratios: dict[tuple[str, int], list[float]] = defaultdict(list)
    cpu: dict[str, list[float]] = defaultdict(list)
    try:
        for _ in range(rounds):
            for connections in (1, 32):
                base = 0.0
                for one in running:
                    before = one.cpu_seconds()
                    result = load(one.url, as_data(TINY), connections, SECONDS)
                    base = base or result.per_second
                    ratios[one.server.name, connections].append(result.per_second / base)
                    if connections == 32:
                        used = one.cpu_seconds() - before
                        cpu[one.server.name].append(used / (result.per_second * SECONDS) * 1e6)
    finally:
        for one in running:
            one.stop()
    print("| way | c1 to the ASGI echo | c32 to the ASGI echo | CPU µs a request, c32 |")
    print("|---|---|---|---|")
    for one in running:
        name = one.server.name
        c1, c32 = (statistics.median(ratios[name, connections]) for connections in (1, 32))
        print(f"| {name} | {c1:.2f} | {c32:.2f} | {statistics.median(cpu[name]):.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
