"""A real scoring process on loopback, started the way the image starts it."""

import contextlib
import http.client
import json
import os
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

PATIENCE_SECONDS = 20.0
"""How long a test waits for what must happen, on a busy machine; no test measures time against it."""


def until(condition: Any, what: str) -> Any:
    """The first true value of condition(); fails the test when there is none in time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {PATIENCE_SECONDS} s for: {what}")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return self.json()["message"]


def read_answer(connection: socket.socket) -> Answer:
    """The next answer on a raw connection. Raises ConnectionResetError as a client would see it."""
    response = http.client.HTTPResponse(connection)
    try:
        response.begin()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
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
        """The lines that the runtime itself wrote."""
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    @contextlib.contextmanager
    def connection(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS) as connection:
            yield connection

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own."""
        with self.connection() as connection:
            return ask_on(connection, method, path, body, headers)

    def score(self, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        return self.ask("POST", "/score", body, headers)

    def is_listening(self) -> bool:
        assert self.process.poll() is None, f"exited with {self.process.returncode}: {self.log}"
        with contextlib.suppress(ConnectionError), self.connection():
            return True
        return False

    def is_ready(self) -> bool:
        return self.is_listening() and self.ask("GET", "/ready").status == 200

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self) -> int:
        return self.process.wait(PATIENCE_SECONDS)


def metric(scoring: ScoringProcess, name: str) -> float:
    """What /metrics says under this name, with its labels; 0 when it says nothing."""
    written = scoring.ask("GET", "/metrics").body.decode()
    found = re.search(rf"^{re.escape(name)} (\S+)$", written, re.MULTILINE)
    return float(found[1]) if found else 0.0


def ask_on(
    connection: socket.socket,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request on a kept connection."""
    send_request(connection, method, path, body, headers)
    if method == "HEAD":
        response = http.client.HTTPResponse(connection, method="HEAD")
        response.begin()
        response.close()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, b"")
    return read_answer(connection)


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


@contextlib.contextmanager
def scoring_process(
    folder: Path, runtime: Path, driver: str, environment: Mapping[str, str] | None = None
) -> Iterator[ScoringProcess]:
    """Starts the process with this driver in folder; it may not listen yet. Killed in the end."""
    app_root = folder / "app"
    app_root.mkdir(exist_ok=True)
    (app_root / "driver.py").write_text(driver)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
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
            [sys.executable, "-m", "modelyard.scoring"], cwd="/", env=variables, stdout=log, stderr=log
        )
    try:
        yield ScoringProcess(process, port, log_file)
    finally:
        process.kill()
        process.wait()
