"""A real scoring process on loopback, started as an image starts it."""

import contextlib
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.processes import memory_kib

TIMEOUT_SECONDS = 60.0
"""The longest wait for a condition, on a busy machine; no test measures time against it."""


def until(condition: Any, description: str, poll_seconds: float = 0.02) -> Any:
    """Return the first true value of condition(); fail the test if there is none within TIMEOUT_SECONDS."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(poll_seconds)
    raise AssertionError(f"waited {TIMEOUT_SECONDS} s for {description}")


@dataclass(frozen=True)
class Response:
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return self.json()["message"]


def read_response(connection: socket.socket) -> Response:
    """Return the next response on a raw connection. Raises ConnectionResetError as a client would see it."""
    response = http.client.HTTPResponse(connection)
    try:
        response.begin()
        return Response(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        response.close()


class ScoringProcess:
    """A running `python -m modelyard.scoring`."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log_file: Path) -> None:
        self.process = process
        self.port = port
        self._log_file = log_file

    @property
    def log(self) -> str:
        return self._log_file.read_text()

    def log_lines(self) -> list[dict[str, Any]]:
        """Return the lines that the runtime itself wrote."""
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    @contextlib.contextmanager
    def connection(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_SECONDS) as connection:
            yield connection

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Send one request on a connection of its own, and return the response."""
        with self.connection() as connection:
            return request_on(connection, method, path, body, headers)

    def score(self, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
        return self.request("POST", "/score", body, headers)

    def is_listening(self) -> bool:
        assert self.process.poll() is None, f"exited with {self.process.returncode}: {self.log}"
        with contextlib.suppress(ConnectionError), self.connection():
            return True
        return False

    def is_ready(self) -> bool:
        return self.is_listening() and self.request("GET", "/ready").status == 200

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self) -> int:
        return self.process.wait(TIMEOUT_SECONDS)


def worker_pids(scoring: ScoringProcess) -> list[int]:
    children = Path(f"/proc/{scoring.process.pid}/task/{scoring.process.pid}/children")
    return [int(pid) for pid in children.read_text().split()]


def peak_mib(pid: int) -> int:
    """Return the largest resident set of a process so far."""
    return memory_kib(pid, "VmHWM") // 1024


def metric(scoring: ScoringProcess, name: str) -> float:
    """Return the sample of /metrics with this name and labels; 0 if there is none."""
    exposition = scoring.request("GET", "/metrics").body.decode()
    sample = re.search(rf"^{re.escape(name)} (\S+)$", exposition, re.MULTILINE)
    return float(sample[1]) if sample else 0.0


def request_on(
    connection: socket.socket,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Send one request on an open connection, and return the response."""
    send_request(connection, method, path, body, headers)
    if method == "HEAD":
        response = http.client.HTTPResponse(connection, method="HEAD")
        response.begin()
        response.close()
        return Response(response.status, {k.lower(): v for k, v in response.getheaders()}, b"")
    return read_response(connection)


def send_request(
    connection: socket.socket,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> None:
    lines = [f"{method} {path} HTTP/1.1", "Host: test"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""))


def free_port() -> int:
    """Return a free port below the range of client ports: no connection of another test takes it."""
    for port in random.sample(range(20_000, 32_768), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("100 ports are in use")


@contextlib.contextmanager
def scoring_process(
    folder: Path,
    runtime: Path,
    driver: str,
    environment: Mapping[str, str] | None = None,
    *,
    python: str = sys.executable,
) -> Iterator[ScoringProcess]:
    """Start the process with this driver in the folder; it may not listen yet. It is killed at the end."""
    app_root = folder / "app"
    app_root.mkdir(exist_ok=True)
    (app_root / "driver.py").write_text(driver)
    port = free_port()
    variables = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(runtime),
        "AML_APP_ROOT": str(app_root),
        "AZUREML_ENTRY_SCRIPT": "driver.py",
        "MODELYARD_PORT": str(port),
        "TEST_FOLDER": str(folder),
        **(environment or {}),
    }
    log_file = folder / "log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [python, "-m", "modelyard.scoring"], cwd="/", env=variables, stdout=log, stderr=log
        )
    try:
        yield ScoringProcess(process, port, log_file)
    finally:
        process.kill()
        process.wait()
