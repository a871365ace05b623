"""A replica that collects: the scoring server, and the side-car beside it, without a cluster."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.bench.collect.drivers import EMPTY, Driver
from tests.bench.scoring.servers import KEY, install, install_runtime
from tests.support.processes import children, memory_kib
from tests.support.servers import Server, free_port, wait_until

from modelyard.contract.collection_pod import METRICS_PATH, STATE_PATH, CollectorVariable
from modelyard.scoring.contract import READY_PATH, Variable

NAMESPACE: Final = "bench"
SERVICE: Final = "model"
SPOOL_BYTES: Final = 256 * 1024 * 1024
BATCH_SECONDS: Final = 5
_SECONDS: Final = 60


class Front:
    """Context manager that runs a scoring server whose spool is `folder`/spool."""

    def __init__(self, folder: Path, extra: Mapping[str, str] | None = None, driver: Driver = EMPTY) -> None:
        """Install the runtime as images have it. `extra` are further variables."""
        environment, runtime = install(driver.server), install_runtime()
        for name in ("spool", "app", "keys"):
            (folder / name).mkdir()
        (folder / "app" / "driver.py").write_text(driver.source)
        (folder / "keys" / "primaryKey").write_text(KEY)
        self.port: Final = free_port()
        variables = {
            "PYTHONPATH": str(runtime),
            "AML_APP_ROOT": str(folder / "app"),
            "AZUREML_ENTRY_SCRIPT": "driver.py",
            Variable.PORT: str(self.port),
            Variable.KEYS_DIR: str(folder / "keys"),
            Variable.COLLECTION_DIR: str(folder / "spool"),
            Variable.COLLECTION_SPOOL_BYTES: str(SPOOL_BYTES),
        }
        command = [environment / "bin" / "python", "-S", "-P", "-m", "modelyard.scoring"]
        self._server = Server(command, self.port, folder, environment=variables | dict(extra or {}))

    def __enter__(self) -> Front:
        self._server.start()
        wait_until(self._is_ready, lambda: self._server.log.read_text(errors="replace"))
        return self

    def __exit__(self, *_: object) -> None:
        self._server.kill()

    def _is_ready(self) -> bool:
        """Tell whether the driver has started."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{READY_PATH}", timeout=_SECONDS):
                return True
        except urllib.error.HTTPError:
            return False

    @property
    def pid(self) -> int:
        """Return the id of the server's process."""
        return self._server.pid

    def stop(self) -> None:
        """End the server with SIGTERM: it writes the last frames of the spool."""
        self._server.terminate(_SECONDS)


class SideCar:
    """Context manager that runs the side-car of `folder`/spool, with the Secret in `folder`/destination."""

    def __init__(
        self, folder: Path, secret: Mapping[str, str], extra: Mapping[str, str] | None = None
    ) -> None:
        """`extra` are further variables."""
        for name in ("state", "destination"):
            (folder / name).mkdir()
        for name, value in secret.items():
            (folder / "destination" / name).write_text(value)
        self._port = free_port()
        self._spool = folder / "spool"
        platform = {"batchSeconds": BATCH_SECONDS, "batchBytes": 64 * 1024 * 1024}
        variables = {
            CollectorVariable.SPOOL_DIR: str(folder / "spool"),
            CollectorVariable.SPOOL_BYTES: str(SPOOL_BYTES),
            CollectorVariable.STATE_DIR: str(folder / "state"),
            CollectorVariable.DESTINATION_DIR: str(folder / "destination"),
            CollectorVariable.PORT: str(self._port),
            CollectorVariable.NAMESPACE: NAMESPACE,
            CollectorVariable.SERVICE: SERVICE,
            CollectorVariable.VERSION: "1",
            CollectorVariable.POD: "model-1",
            CollectorVariable.STORAGE: "true",
            CollectorVariable.EVENT_HUB: "true",
            CollectorVariable.PLATFORM: json.dumps(platform),
        }
        command = [sys.executable, "-m", "modelyard", "collect"]
        self._server = Server(command, self._port, folder, environment=variables | dict(extra or {}))
        self.peak_mb = 0.0
        """Largest memory of its two processes, in MiB. Pages of files that both have loaded count once."""

    def __enter__(self) -> SideCar:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()

    @property
    def pid(self) -> int:
        """Return the id of the supervisor's process."""
        return self._server.pid

    def kill_process(self) -> None:
        """Kill the collecting process; the supervisor starts another one."""
        wait_until(lambda: bool(children(self.pid)), lambda: "the supervisor starts no process")
        self.measure()
        for pid in children(self.pid):
            _kill(pid)

    def restart(self) -> None:
        """Kill the container, and start it as the kubelet does."""
        self.measure()
        self._kill()
        self._server.start()

    def stop(self) -> int:
        """End the side-car with SIGTERM, and return its exit code: 0 if it has delivered all records."""
        self.measure()
        return self._server.terminate(_SECONDS)

    def state(self) -> dict[str, Any]:
        """Return the page /state. Raises OSError while no process serves it."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{STATE_PATH}", timeout=5) as page:
            state: dict[str, Any] = json.load(page)
            return state

    def cpu_seconds(self) -> float:
        """Return the CPU time of the collecting process since its start."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{METRICS_PATH}", timeout=5) as page:
            lines = dict(line.rsplit(b" ", 1) for line in page if not line.startswith(b"#"))
        return float(lines[b"process_cpu_seconds_total"])

    def spool_is_empty(self) -> bool:
        """Tell whether all sinks have all records of the spool."""
        return not any(self._spool.iterdir())

    def measure(self) -> None:
        """Note the peak of the memory so far. A process that is being killed changes nothing."""
        with contextlib.suppress(OSError):
            supervisor = memory_kib(self.pid, "RssAnon")
            peaks = [memory_kib(pid, "VmHWM") for pid in children(self.pid)]
            self.peak_mb = max(self.peak_mb, (supervisor + sum(peaks)) / 1024)

    def _kill(self) -> None:
        running = children(self.pid)
        self._server.kill()
        for pid in running:  # of PID 1 in a container, which ends with it
            _kill(pid)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
