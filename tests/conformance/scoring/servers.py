"""The servers that the suite knows, each in an environment of its own under build/, as in an image."""

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

ROOT = Path(__file__).parents[3]
BUILD = ROOT / "build" / "scoring-conformance"
REQUIREMENTS = Path(__file__).parent / "requirements"

START_SECONDS = 60.0


@dataclass(frozen=True)
class Server:
    """How to start a server on a driver. {driver}, {folder} and {port} are filled in."""

    name: str
    command: str
    environment: Mapping[str, str] = field(default_factory=dict)


def prepare() -> tuple[Server, Server, Server]:
    """Installs what is missing; ours, the peer, and ours where the driver has old wheels."""
    driver = _environment("driver")
    old = _environment("old_wheels")
    peer = _environment("azmlinfsrv")
    runtime = BUILD / "runtime"
    pins = ROOT / "operator" / "modelyard" / "contract" / "runtime-requirements.txt"
    _once(
        runtime, pins, ["uv", "pip", "install", "-q", "--python", f"{driver}/bin/python", "--target", runtime]
    )
    (runtime / "modelyard").mkdir(exist_ok=True)
    for name in ("__init__.py", "scoring"):
        link = runtime / "modelyard" / name
        if not link.is_symlink():
            link.symlink_to(ROOT / "operator" / "modelyard" / name)
    variables = {"PYTHONPATH": str(runtime), "MODELYARD_PORT": "{port}"}
    ours = Server("ours", f"{driver}/bin/python -S -P -m modelyard.scoring", variables)
    beside_old = Server("ours beside old wheels", f"{old}/bin/python -S -P -m modelyard.scoring", variables)
    theirs = Server(
        "azureml-inference-server-http 1.5.1",
        f"{peer}/bin/azmlinfsrv --entry_script {{driver}} --port {{port}} --worker_count 1",
        {"PATH": f"{peer}/bin:{os.environ['PATH']}"},
    )
    return ours, theirs, beside_old


def prepare_schemathesis() -> Path:
    """The folder of its environment."""
    return _environment("schemathesis")


def _environment(name: str) -> Path:
    folder = BUILD / name
    if not folder.exists():
        subprocess.run(["uv", "venv", "-q", folder], check=True)
    install = ["uv", "pip", "install", "-q", "--python", folder / "bin" / "python"]
    _once(folder, REQUIREMENTS / f"{name}.txt", install)
    return folder


def _once(folder: Path, pins: Path, install: list[str | Path]) -> None:
    mark = folder / ".installed"
    if not mark.exists() or mark.read_bytes() != pins.read_bytes():
        subprocess.run([*install, "-r", pins], check=True)
        mark.write_bytes(pins.read_bytes())


class EndedError(Exception):
    """The server ended by itself."""

    def __init__(self, exit_code: int, log: str) -> None:
        super().__init__(f"exit code {exit_code}\n{log[-2000:]}")
        self.exit_code = exit_code


@contextlib.contextmanager
def serving(
    server: Server, driver: str, environment: Mapping[str, str], files: Mapping[str, str]
) -> Iterator[int]:
    """Starts it on this driver; its port, once the driver is ready. Raises EndedError."""
    with tempfile.TemporaryDirectory() as name, socket.socket() as probe:
        folder = Path(name)
        (folder / "score.py").write_text(driver)
        for file, content in files.items():
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
            **environment,
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
            raise EndedError(process.returncode, log.read_text(errors="replace"))
        # Ours listens before init() is done and then answers 503; the peer listens only afterwards.
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(b"GET /ready HTTP/1.0\r\n\r\n")
            answer = connection.recv(100)
            if answer and b" 503 " not in answer:
                return
        time.sleep(0.05)
    raise EndedError(-1, "it never listened: " + log.read_text(errors="replace"))
