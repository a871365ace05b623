"""The servers of the benchmark, one worker each, with the same model in the form of each server."""

import contextlib
import json
import os
import shlex
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.processes import cpu_seconds, memory_kib, tree
from tests.support.scoring_runtime import copy_runtime

from modelyard.contract.scoring_runtime import RUNTIME_REQUIREMENTS

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
BUILD = ROOT / "build" / "scoring-bench"
KEY = "bench"
START_SECONDS = 90.0

TINY = [1.0, 2.0, 3.0, 4.0]
LARGE = [index / 7 for index in range(5_500)]
"""About 100 KB as JSON."""


def as_data(numbers: list[float]) -> str:
    """Return the body of a request to a driver."""
    return json.dumps({"data": numbers})


def as_instances(numbers: list[float]) -> str:
    """Return the body of a request of the V1 inference protocol."""
    return json.dumps({"instances": numbers})


def as_v2(numbers: list[float]) -> str:
    """Return the body of a request of the V2 inference protocol."""
    tensor = {"name": "x", "shape": [len(numbers)], "datatype": "FP64", "data": numbers}
    return json.dumps({"inputs": [tensor]})


@dataclass(frozen=True)
class Server:
    """A server: its command, and the form of its requests."""

    name: str
    requirements: str
    command: str
    """{python}, {bin}, {port}, {folder} and {peers} are replaced."""
    path: str = "/score"
    body: Callable[[list[float]], str] = as_data
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


OURS = Server(
    "modelyard",
    "ours",
    "{python} -S -P -m modelyard.scoring",
    environment={
        "PYTHONPATH": "{runtime}",
        "AML_APP_ROOT": "{peers}",
        "AZUREML_ENTRY_SCRIPT": "driver.py",
        "MODELYARD_PORT": "{port}",
        "MODELYARD_KEYS_DIR": "{folder}",
    },
    files={"primaryKey": KEY},
)
OURS_ORJSON = Server(
    "modelyard, orjson in the driver",
    "ours_orjson",
    OURS.command,
    environment={**OURS.environment, "AZUREML_ENTRY_SCRIPT": "driver_orjson.py"},
    files=OURS.files,
)
"""Most of a large request is json.loads: kserve and mlserver parse with orjson."""
OURS_HINTS = Server(
    "modelyard, type hint in the driver",
    OURS.requirements,
    OURS.command,
    environment={**OURS.environment, "AZUREML_ENTRY_SCRIPT": "driver_hints.py"},
    files=OURS.files,
)
"""The runtime decodes JSON for drivers with type hints."""
ECHO = Server("bare ASGI echo on uvicorn", "echo", "{python} {peers}/echo.py {port}")
AZMLINFSRV = Server(
    "azureml-inference-server-http 1.5.1",
    "azmlinfsrv",
    "{bin}/azmlinfsrv --entry_script {peers}/driver.py --port {port} --worker_count 1",
    environment={"AML_APP_ROOT": "{peers}"},
)
KSERVE = Server(
    "kserve 0.21.0",
    "kserve",
    "{python} {peers}/kserve_server.py {port}",
    "/v1/models/m:predict",
    as_instances,
)
PEERS = (
    KSERVE,
    Server(
        "mlserver 1.7.1",
        "mlserver",
        "{bin}/mlserver start {folder}",
        "/v2/models/m/infer",
        as_v2,
        {"PYTHONPATH": "{peers}"},
        {
            "settings.json": '{{"http_port": {port}, "grpc_port": {port1}, "metrics_port": {port2},'
            ' "parallel_workers": 0, "debug": false}}',
            "model-settings.json": '{{"name": "m", "implementation": "mlserver_model.Model"}}',
        },
    ),
    Server("litserve 0.2.19", "litserve", "{python} {peers}/litserve_server.py {port}"),
)
OUR_SERVERS = (OURS, OURS_ORJSON, OURS_HINTS)
SERVERS = (*OUR_SERVERS, ECHO, AZMLINFSRV, *PEERS)


def install(server: Server) -> Path:
    """Install a virtual environment with only this server, and return its folder."""
    folder = BUILD / server.requirements
    pins = HERE / "requirements" / f"{server.requirements}.txt"
    record = folder / ".installed"
    if not record.exists() or record.read_bytes() != pins.read_bytes():
        subprocess.run(["uv", "venv", "-q", "--allow-existing", folder], check=True)
        python = folder / "bin" / "python"
        subprocess.run(["uv", "pip", "install", "-q", "--python", python, "-r", pins], check=True)
        record.write_bytes(pins.read_bytes())
    return folder


def install_runtime() -> Path:
    """Install the scoring runtime in the form of an image, and return its folder."""
    runtime = BUILD / "runtime"
    if not (runtime / "httptools").exists():
        python = install(OURS) / "bin" / "python"
        command = ["uv", "pip", "install", "-q", "--python", python, "--target", runtime]
        subprocess.run([*command, "-r", RUNTIME_REQUIREMENTS], check=True)
    copy_runtime(runtime)
    return runtime


class Running:
    """A started server, as a context manager."""

    def __init__(self, server: Server, extra: Mapping[str, str] | None = None) -> None:
        self.server = server
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        ports = _free_ports(3)
        self.port = ports[0]
        environment = BUILD / server.requirements
        values = {
            "python": environment / "bin" / "python",
            "bin": environment / "bin",
            "folder": folder,
            "peers": HERE / "peers",
            "runtime": BUILD / "runtime",
            "port": ports[0],
            "port1": ports[1],
            "port2": ports[2],
        }
        for name, content in server.files.items():
            (folder / name).write_text(content.format(**values))
        variables = {"PATH": f"{environment}/bin:{os.environ['PATH']}", "HOME": str(folder)}
        variables |= {name: value.format(**values) for name, value in server.environment.items()}
        self._log = (folder / "log").open("wb")
        started = time.monotonic()
        self._process = subprocess.Popen(
            shlex.split(server.command.format(**values)),
            env=variables | dict(extra or {}),
            cwd=folder,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        self.cold_seconds = self._wait() - started

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Kill the server's process group and its workers, and wait for the server."""
        _, *workers = tree(self._process.pid)
        os.killpg(self._process.pid, 9)
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)  # workers in process groups of their own
        self._process.wait()
        self._log.close()
        self._folder.cleanup()

    @property
    def url(self) -> str:
        """Return the URL of the model."""
        return f"http://127.0.0.1:{self.port}{self.server.path}"

    def memory_mb(self) -> tuple[float, float]:
        """Return RSS and PSS, in MiB, summed over all processes of the server."""
        pids = tree(self._process.pid)
        resident, proportional = (
            sum(memory_kib(pid, field, "smaps_rollup") for pid in pids) / 1024 for field in ("Rss", "Pss")
        )
        return resident, proportional

    def cpu_seconds(self) -> float:
        """Return the CPU time of all processes of the server, in seconds."""
        return cpu_seconds(tree(self._process.pid))

    def _wait(self) -> float:
        body = self.server.body(TINY).encode()
        headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            try:
                request = urllib.request.Request(self.url, body, headers)
                with urllib.request.urlopen(request, timeout=5) as answer:
                    answer.read()
                    return time.monotonic()
            except OSError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.005)
        raise RuntimeError(f"{self.server.name} does not respond: {Path(self._log.name).read_text()[-2000:]}")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
