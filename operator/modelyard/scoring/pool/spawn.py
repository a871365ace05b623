"""The start of a worker process. No asyncio here: workers start first, and load while the front loads."""

import mmap
import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from modelyard.scoring.contract import Variable
from modelyard.scoring.frames import SLOT
from modelyard.scoring.settings import RuntimeSettings
from modelyard.scoring.worker.user_name import user_variables

START_SCRIPT: Final = Path(__file__).parents[1] / "worker" / "start.py"
RUNTIME_FOLDERS: Final = (Path(__file__).parents[3], Path(__file__).resolve().parents[3])


@dataclass(slots=True)
class SpawnedWorker:
    """A worker process and its connections to the front."""

    pid: int
    threads: int
    channel: socket.socket
    """Requests and replies, see frames."""
    lifeline: socket.socket
    """Carries no data. It closes when the front ends for any reason, and the worker then ends too."""
    progress: mmap.mmap
    """See frames.SLOT."""


SpawnWorker = Callable[[], SpawnedWorker]
"""Starts one more worker."""


def spawn_worker(settings: RuntimeSettings, environment: Mapping[str, str]) -> SpawnedWorker:
    """Start a worker process. Raises OSError if memory or descriptors for a process are missing."""
    threads = settings.threads_per_worker
    channel, worker_channel = socket.socketpair()
    lifeline, worker_lifeline = socket.socketpair()
    with _shared_file() as file:
        file.truncate(SLOT.size * threads)
        progress = mmap.mmap(file.fileno(), SLOT.size * threads)
        inherited = (worker_channel.fileno(), worker_lifeline.fileno(), file.fileno())
        for descriptor in inherited:
            os.set_inheritable(descriptor, True)
        arguments = [sys.executable, str(START_SCRIPT), *map(str, inherited), str(threads)]
        # A process group of its own: Ctrl-C reaches the front only, and the driver's children can be killed.
        pid = os.posix_spawn(
            sys.executable, arguments, worker_environment(settings, environment), setpgroup=0
        )
    worker_channel.close()
    worker_lifeline.close()
    channel.setblocking(False)
    return SpawnedWorker(pid, threads, channel, lifeline, progress)


def _shared_file() -> IO[bytes]:
    """Open a file without a name, on Linux in memory: the root file system may be read-only."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("progress"), "wb+")
    from tempfile import TemporaryFile  # noqa: PLC0415 - 10 ms

    return TemporaryFile()


def worker_environment(settings: RuntimeSettings, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the driver's environment: without the runtime's folder in PYTHONPATH, and with a user name.

    The runtime's dependencies are therefore not importable by the driver. Variables of the runtime's settings
    have the values that the front has checked.
    """
    folders = environment.get("PYTHONPATH", "").split(os.pathsep)
    drivers_own = [folder for folder in folders if folder and Path(folder) not in RUNTIME_FOLDERS]
    variables = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
    if drivers_own:
        variables["PYTHONPATH"] = os.pathsep.join(drivers_own)
    variables[Variable.APP_ROOT] = str(settings.app_root)
    variables[Variable.ENTRY_SCRIPT] = settings.entry_script
    # Drivers of the Azure ML containers read these without a default.
    is_traced = settings.telemetry and _is_instrumentation_key(environment.get(Variable.APP_INSIGHTS_KEY))
    variables[Variable.TELEMETRY] = "true" if is_traced else "false"
    variables[Variable.WORKER_COUNT] = str(settings.workers)
    if settings.log_level:
        variables[Variable.LOG_LEVEL] = settings.log_level
    variables["SERVER_PORT"] = variables["HEALTH_PORT"] = str(settings.port)
    return variables | user_variables(environment, os.getuid())


def _is_instrumentation_key(text: str | None) -> bool:
    """Return False for a key that is no UUID: the Azure ML containers then turn Application Insights off."""
    if text is None:
        return True
    return all(digit in "0123456789abcdef-" for digit in text.lower()) and len(text.replace("-", "")) == 32
