"""The fuzz run: `python -m tests.conformance.scoring.fuzz [SECONDS]`.

Hostile bytes on the socket, and inputs made from the service's own OpenAPI by schemathesis. The driver never
fails by itself, so any 5xx is the server's, as is a connection that hangs and a worker that was restarted.
"""

import os
import random
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter

from tests.conformance.scoring.servers import prepare, prepare_schemathesis, serving

DRIVER = """
from typing import Literal, Optional
def init(): pass
def run(
    numbers: list[float], names: dict[str, int], kind: Literal["a", "b"], note: Optional[str] = None
) -> dict[str, str]:
    return {"said": repr((numbers, names, kind, note))[:1000]}
"""

SEEDS = (
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /score?numbers=[1]&names={}&kind=a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n"
    b'{"numbers": [1], "names": {}, "kind":"a"}',
    b"POST /score HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST /score HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /score HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    b"OPTIONS /score HTTP/1.0\r\nConnection: keep-alive\r\nOrigin: null\r\n\r\n",
    b"GET /swagger.json?version=%ff HTTP/1.1\r\nHost: a\r\nx-request-id: \xff\r\n\r\n",
)

PIECES = (
    b"\r\n", b"\r\n\r\n", b"\0", b"\xff", b": ", b"Content-Length: 9\r\n", b"Transfer-Encoding: chunked\r\n",
    b"ffffffffffffffff\r\n", b"HTTP/9.9", b"%00", b"[" * 3000, b'{"a":' * 500, b"1e999", b"-",
)  # fmt: skip


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    ours, _, _ = prepare()
    schemathesis = prepare_schemathesis()
    limits = {"MODELYARD_MAX_BODY_BYTES": "1000000", "MODELYARD_QUEUE_TIMEOUT_MS": "10000"}
    with serving(ours, DRIVER, limits, {}) as port:
        statuses = hostile_bytes(port, seconds)
        print("hostile bytes:", ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items())))
        said = subprocess.run(
            [
                schemathesis / "bin" / "schemathesis",
                "run",
                f"http://127.0.0.1:{port}/swagger.json?version=3",
                "--checks",
                "not_a_server_error,response_schema_conformance",
                "--max-examples",
                "200",
            ],
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/tmp"), "NO_COLOR": "1"},
        )
        restarts = restarts_of(port)
    bad = sum(count for status, count in statuses.items() if status >= 500)
    print(f"{bad} answers with 5xx, {restarts} restarts, schemathesis ended with {said.returncode}")
    failed = sum((bad > 0, restarts > 0, said.returncode != 0))
    print(f"{3 - failed} passed, {failed} failed")
    return 1 if failed else 0


def hostile_bytes(port: int, seconds: float, seed: int = 1) -> Counter[int]:
    """Answers by status; 0: the connection was closed with no answer."""
    chance = random.Random(seed)
    statuses: Counter[int] = Counter()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sent = mutated(chance)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            received = exchanged(connection, sent, chance)
        found = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]
        statuses.update(found or [0])
    return statuses


def exchanged(connection: socket.socket, sent: bytes, chance: random.Random) -> bytes:
    cut = chance.randrange(len(sent) + 1)
    received = b""
    try:
        for part in (sent[:cut], sent[cut:]):
            connection.sendall(part)
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(65536):
            received += piece
    except (ConnectionResetError, BrokenPipeError):
        pass  # a client that breaks the rules may be cut off
    return received


def mutated(chance: random.Random) -> bytes:
    data = bytearray(b"".join(chance.choices(SEEDS, k=chance.randint(1, 3))))
    for _ in range(chance.randint(0, 6)):
        place = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0:
                data[place:place] = chance.choice(PIECES)
            case 1:
                del data[place : place + chance.randint(1, 20)]
            case 2:
                data[place : place + 1] = chance.randbytes(1)
            case 3:
                data[place:place] = chance.randbytes(chance.randint(1, 200))
    return bytes(data)


def restarts_of(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        found = re.search(
            r"^modelyard_scoring_worker_restarts_total (\d+)", answer.read().decode(), re.MULTILINE
        )
    return int(found[1]) if found else -1


if __name__ == "__main__":
    sys.exit(main())
