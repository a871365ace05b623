"""Real servers as processes of a test, on ports of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

START_SECONDS: Final = 60
Target = tuple[str, int] | Path
"""A host and a port, or a Unix socket."""


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port that no process uses."""
    with socket.create_server((host, 0)) as server:
        return int(server.getsockname()[1])


def connect(target: Target) -> socket.socket:
    """Return a connection. Raises OSError without a server."""
    if not isinstance(target, Path):
        return socket.create_connection(target)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(target))
    except OSError:
        connection.close()
        raise
    return connection


class Server:
    """Context manager that runs a server process. The file `log` has its output.

    A server with a Unix socket has the port 0.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        port: int,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        environment: Mapping[str, str] | None = None,
        unix_socket: Path | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.log = folder / f"{Path(command[0]).name}.log"
        self._target: Target = unix_socket or (host, port)
        self._command = command
        self._folder = folder
        self._environment = os.environ | (environment or {})

    @property
    def address(self) -> str:
        """Return the address as `host:port`."""
        return f"{self.host}:{self.port}"

    def start(self) -> Self:
        """Start the process, and wait until it accepts connections."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                list(map(str, self._command)),
                cwd=self._folder,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(self._listens, lambda: self.log.read_text(errors="replace"))
        return self

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        self._process.kill()
        self._process.wait()

    def terminate(self, seconds: float) -> int:
        """End the process with SIGTERM, and return its exit code. Raises TimeoutExpired after `seconds`."""
        self._process.terminate()
        return self._process.wait(seconds)

    @property
    def pid(self) -> int:
        """Return the id of the process."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _listens(self) -> bool:
        assert self._process.poll() is None, self.log.read_text(errors="replace")
        try:
            connect(self._target).close()
        except OSError:
            return False
        return True


def wait_until(ready: Callable[[], bool], error_text: Callable[[], str]) -> None:
    """Wait until `ready` returns True. Raises AssertionError with the text after START_SECONDS."""
    end = time.monotonic() + START_SECONDS
    while not ready():
        assert time.monotonic() < end, error_text()
        time.sleep(0.02)
