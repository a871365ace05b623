"""The fuzz run: `python -m tests.conformance.scoring.fuzz [SECONDS]`.

Sends hostile bytes, and inputs that schemathesis generates from the service's OpenAPI document. The driver
itself never fails. So each 5xx, each connection that hangs and each restart of a worker is an error of the
server.
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
    return {"input": repr((numbers, names, kind, note))[:1000]}
"""

TENSORS = (
    b'{"inputs":[{"name":"numbers","shape":[1],"datatype":"FP64","parameters":{"binary_data_size":8}}],'
    b'"parameters":{"names":{},"kind":"a"}}'
)

SEEDS = (
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /score?numbers=[1]&names={}&kind=a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n"
    b'{"numbers": [1], "names": {}, "kind":"a"}',
    b"POST /score HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST /score HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /score HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    b"OPTIONS /score HTTP/1.0\r\nConnection: keep-alive\r\nOrigin: null\r\n\r\n",
    b"POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\nInference-Header-Content-Length: %d\r\n"
    b"Content-Length: %d\r\n\r\n%b\0\0\0\0\0\0\0\0" % (len(TENSORS), len(TENSORS) + 8, TENSORS),
    b"GET /v2/models/m/versions/1/ready HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /swagger.json?version=%ff HTTP/1.1\r\nHost: a\r\nx-request-id: \xff\r\n\r\n",
)

PIECES = (
    b"\r\n", b"\r\n\r\n", b"\0", b"\xff", b": ", b"Content-Length: 9\r\n", b"Transfer-Encoding: chunked\r\n",
    b"ffffffffffffffff\r\n", b"HTTP/9.9", b"%00", b"[" * 3000, b'{"a":' * 500, b"1e999", b"-",
    b"Inference-Header-Content-Length: 20\r\n", b'"shape":[4611686018427387904],',
)  # fmt: skip


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    ours = prepare().runtime
    schemathesis = prepare_schemathesis()
    limits = {"MODELYARD_MAX_BODY_BYTES": "1000000", "MODELYARD_QUEUE_TIMEOUT_MS": "10000"}
    with serving(ours, DRIVER, limits, {}) as port:
        statuses = hostile_bytes(port, seconds)
        print("hostile bytes:", ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items())))
        completed = subprocess.run(
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
        restarts = worker_restarts(port)
    bad = sum(count for status, count in statuses.items() if status >= 500)
    print(f"{bad} responses with 5xx, {restarts} restarts, schemathesis ended with {completed.returncode}")
    failed = sum((bad > 0, restarts > 0, completed.returncode != 0))
    print(f"{3 - failed} passed, {failed} failed")
    return 1 if failed else 0


def hostile_bytes(port: int, seconds: float, seed: int = 1) -> Counter[int]:
    """Count responses by status; 0 counts connections that were closed without a response."""
    generator = random.Random(seed)
    statuses: Counter[int] = Counter()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sent = mutated(generator)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            received = exchange(connection, sent, generator)
        found = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]
        statuses.update(found or [0])
    return statuses


def exchange(connection: socket.socket, sent: bytes, generator: random.Random) -> bytes:
    """Send the bytes in two parts. Return all that is received."""
    cut = generator.randrange(len(sent) + 1)
    received = b""
    try:
        for part in (sent[:cut], sent[cut:]):
            connection.sendall(part)
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(65536):
            received += piece
    except (ConnectionResetError, BrokenPipeError):
        pass  # the server may reset the connection of such a client
    return received


def mutated(generator: random.Random) -> bytes:
    """Return some of the seeds with random changes."""
    data = bytearray(b"".join(generator.choices(SEEDS, k=generator.randint(1, 3))))
    for _ in range(generator.randint(0, 6)):
        place = generator.randrange(len(data) + 1)
        match generator.randrange(4):
            case 0:
                data[place:place] = generator.choice(PIECES)
            case 1:
                del data[place : place + generator.randint(1, 20)]
            case 2:
                data[place : place + 1] = generator.randbytes(1)
            case 3:
                data[place:place] = generator.randbytes(generator.randint(1, 200))
    return bytes(data)


def worker_restarts(port: int) -> int:
    """Return the number of restarts in /metrics, -1 if it is missing."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        sample = re.search(
            r"^modelyard_scoring_worker_restarts_total (\d+)", response.read().decode(), re.MULTILINE
        )
    return int(sample[1]) if sample else -1


if __name__ == "__main__":
    sys.exit(main())
