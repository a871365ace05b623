"""Both ends of the container that installs users' packages, which mounts no Secret.

The container of the build listens on a UNIX socket in an emptyDir. The container of the packages connects,
reads jobs, and writes messages. The end of either process ends the connection, and with it the other's wait.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
import traceback
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NoReturn, Self, cast

from modelyard.contract.build_pod import BuildVariable

if TYPE_CHECKING:  # imported by the first job only: most builds need no packages
    from modelyard.builder.environment.package_job import InstalledPackages, PackageJob
    from modelyard.builder.log import BuildLog

_START_SECONDS: Final = 120.0
"""Longest wait of one container for the other one, whose image is on the node."""
_POLL_SECONDS: Final = 0.05
_EXIT_STOPPED: Final = 128 + signal.SIGTERM


class PackageContainer:
    """The build's end of the connection: a PackageInstaller and a context manager."""

    def __init__(self, path: Path) -> None:
        """Listen on a socket at `path`, before the other container looks for it."""
        self._listener = socket.socket(socket.AF_UNIX)
        bound = path.with_name(f"{path.name}.new")
        bound.unlink(missing_ok=True)
        self._listener.bind(str(bound))
        self._listener.listen(1)
        bound.rename(path)  # the path exists once the socket accepts connections
        self._listener.settimeout(_START_SECONDS)
        self._connection: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection:
            self._connection.close()
        self._listener.close()

    def __call__(self, job: PackageJob, log: BuildLog) -> InstalledPackages:
        """Do a job in the other container. Raises InstallerKilledError, too, if it ends without a result."""
        from modelyard.builder.environment.package_job import read_messages  # noqa: PLC0415
        from modelyard.contract.errors import InstallerKilledError  # noqa: PLC0415

        try:
            if self._connection is None:
                self._connection, _ = self._listener.accept()
                self._connection.settimeout(None)
            self._connection.sendall(job.model_dump_json().encode() + b"\n")
        except TimeoutError:
            raise InstallerKilledError(
                f"the container that installs packages has not started within {_START_SECONDS:g} s"
            ) from None
        with contextlib.suppress(ConnectionError), self._connection.makefile("rb") as messages:
            if installed := read_messages(messages, log).result():
                return installed
        raise InstallerKilledError(
            "the container that installs packages ended without a result: raise the chart's"
            " build.resources.limits.memory, or remove the package that needs so much"
        )


def main() -> NoReturn:
    """Run the container: do jobs until the build ends, and exit."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(_EXIT_STOPPED))
    connection = _connect(Path(os.environ[BuildVariable.PACKAGES_SOCKET]))
    if connection:
        with contextlib.suppress(ConnectionError):
            for line in connection.makefile("rb"):
                threading.Thread(target=_do, args=(line, connection), daemon=True).start()
    # All processes of the container end with its first one.
    os._exit(0)


def _connect(path: Path) -> socket.socket | None:
    """Connect to the build. Returns None if it has ended, or does not begin."""
    connection = socket.socket(socket.AF_UNIX)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            connection.connect(str(path))
        except FileNotFoundError:
            time.sleep(_POLL_SECONDS)
        except ConnectionRefusedError:
            return None
        else:
            return connection
    return None


def _do(line: bytes, connection: socket.socket) -> None:
    from modelyard.builder.environment.package_job import (  # noqa: PLC0415
        MessageWriter,
        PackageFailure,
        PackageJob,
    )
    from modelyard.builder.environment.source_installer import install_with_sources  # noqa: PLC0415
    from modelyard.contract.errors import BuildFailedError  # noqa: PLC0415

    writer = MessageWriter(cast("IO[str]", connection.makefile("w", encoding="utf-8")))
    try:
        writer.send(installed=install_with_sources(PackageJob.model_validate_json(line), writer.log))
    except BuildFailedError as error:
        writer.send(failure=PackageFailure.of(error))
    except Exception as error:
        writer.log.write(traceback.format_exc())
        message = f"the installation of packages failed, see the log: {type(error).__name__}: {error}"
        writer.send(failure=PackageFailure.of(BuildFailedError(message)))
