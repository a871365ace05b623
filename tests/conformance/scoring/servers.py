"""The servers of the suite, each in an environment of its own under build/, as in an image."""

import contextlib
import os
import shlex
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.scoring_runtime import copy_runtime

from modelyard.contract.scoring_runtime import RUNTIME_REQUIREMENTS

ROOT = Path(__file__).parents[3]
BUILD = ROOT / "build" / "scoring-conformance"
REQUIREMENTS = Path(__file__).parent / "requirements"

START_SECONDS = 60.0


@dataclass(frozen=True)
class Server:
    """A server and its command, in which {driver}, {folder} and {port} are replaced."""

    name: str
    command: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Servers:
    """The runtime and the peer, and the runtime with other packages in the driver's environment."""

    runtime: Server
    peer: Server
    with_old_wheels: Server
    with_peer: Server
    """The peer's package and Flask are among the driver's own."""


def prepare() -> Servers:
    """Install missing environments. Return the servers."""
    driver = _environment("driver")
    old = _environment("old_wheels")
    peer = _environment("azmlinfsrv")
    runtime = BUILD / "runtime"
    _install_once(
        runtime,
        RUNTIME_REQUIREMENTS,
        ["uv", "pip", "install", "-q", "--python", f"{driver}/bin/python", "--target", runtime],
    )
    copy_runtime(runtime)
    variables = {"PYTHONPATH": str(runtime), "MODELYARD_PORT": "{port}"}
    ours = Server("modelyard", f"{driver}/bin/python -S -P -m modelyard.scoring", variables)
    with_old_wheels = Server(
        "modelyard with old wheels", f"{old}/bin/python -S -P -m modelyard.scoring", variables
    )
    with_peer = Server(
        "modelyard with the peer's package", f"{peer}/bin/python -S -P -m modelyard.scoring", variables
    )
    azmlinfsrv = Server(
        "azureml-inference-server-http 1.5.1",
        f"{peer}/bin/azmlinfsrv --entry_script {{driver}} --port {{port}} --worker_count 1",
        {"PATH": f"{peer}/bin:{os.environ['PATH']}"},
    )
    return Servers(ours, azmlinfsrv, with_old_wheels, with_peer)


def prepare_schemathesis() -> Path:
    """Install schemathesis. Return the folder of its environment."""
    return _environment("schemathesis")


def prepare_inference_clients() -> Path:
    """Install kserve and Triton's client. Return the folder of their environment."""
    return _environment("inference_clients")


def prepare_predecessor_tests() -> Path:
    """Install the packages of the predecessor's own tests. Return the folder of their environment."""
    return _environment("predecessor_tests")


def prepare_collectors() -> Path:
    """Install the packages of Azure ML's collectors. Return the folder of their environment.

    The list is complete: azureml-monitoring alone would install a package that sends telemetry.
    """
    return _environment("collectors", "--no-deps")


def _environment(name: str, *options: str) -> Path:
    folder = BUILD / name
    if not folder.exists():
        subprocess.run(["uv", "venv", "-q", folder], check=True)
    install = ["uv", "pip", "install", "-q", *options, "--python", folder / "bin" / "python"]
    _install_once(folder, REQUIREMENTS / f"{name}.txt", install)
    return folder


def _install_once(folder: Path, pins: Path, install: list[str | Path]) -> None:
    record = folder / ".installed"
    if not record.exists() or record.read_bytes() != pins.read_bytes():
        subprocess.run([*install, "-r", pins], check=True)
        record.write_bytes(pins.read_bytes())


class ServerEndedError(Exception):
    """The server ended before the suite stopped it."""

    def __init__(self, exit_code: int, log: str) -> None:
        super().__init__(f"exit code {exit_code}\n{log[-2000:]}")
        self.exit_code = exit_code


@contextlib.contextmanager
def serving(
    server: Server, driver: str, environment: Mapping[str, str], files: Mapping[str, str]
) -> Iterator[int]:
    """Start the server on this driver. Yield its port when the driver is ready. Raises ServerEndedError."""
    with tempfile.TemporaryDirectory() as name, socket.socket() as probe:
        folder = Path(name)
        (folder / "score.py").write_text(driver)
        for file, content in files.items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(content)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        values = {"driver": folder / "score.py", "folder": folder, "port": port}
        variables = {
            "PATH": os.environ["PATH"],
            "AML_APP_ROOT": name,
            "AZUREML_ENTRY_SCRIPT": "score.py",
            **{key: value.format(**values) for key, value in server.environment.items()},
            **{key: value.format(**values) for key, value in environment.items()},
        }
        log = (folder / "log").open("wb+")
        command = shlex.split(server.command.format(**values))
        process = subprocess.Popen(command, env=variables, cwd=name, stdout=log, stderr=log)
        try:
            _wait(process, port, folder / "log")
            yield port
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()
            log.close()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise ServerEndedError(process.returncode, log.read_text(errors="replace"))
        # The runtime listens before init() returns, with 503; the peer listens only afterwards.
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(b"GET /ready HTTP/1.0\r\n\r\n")
            response = connection.recv(100)
            if response and b" 503 " not in response:
                return
        time.sleep(0.05)
    raise ServerEndedError(-1, "the server never listened: " + log.read_text(errors="replace"))
