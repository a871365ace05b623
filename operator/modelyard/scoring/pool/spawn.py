"""Starting a worker process. No asyncio here: workers start first, and load while the front loads."""

import mmap
import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from modelyard.scoring.frames import PROGRESS
from modelyard.scoring.settings import RuntimeSettings

START_SCRIPT: Final = Path(__file__).parents[1] / "worker" / "start.py"
RUNTIME_FOLDERS: Final = (Path(__file__).parents[3], Path(__file__).resolve().parents[3])


@dataclass(slots=True)
class Spawned:
    """A worker process and what connects it to the front."""

    pid: int
    threads: int
    channel: socket.socket
    lifeline: socket.socket
    """Closed with the front, however that ends: then the worker ends too."""
    progress: mmap.mmap


Spawn = Callable[[], Spawned]
"""Starts one more worker."""


def spawn(settings: RuntimeSettings, environment: Mapping[str, str]) -> Spawned:
    """Raises OSError when there is no memory or no descriptor left for a process."""
    threads = settings.threads_per_worker
    channel, their_channel = socket.socketpair()
    lifeline, their_lifeline = socket.socketpair()
    with _shared_file() as file:
        file.truncate(PROGRESS.size * threads)
        progress = mmap.mmap(file.fileno(), PROGRESS.size * threads)
        inherited = (their_channel.fileno(), their_lifeline.fileno(), file.fileno())
        for descriptor in inherited:
            os.set_inheritable(descriptor, True)
        arguments = [sys.executable, str(START_SCRIPT), *map(str, inherited), str(threads)]
        # Its own group: Ctrl-C is for the front, and the driver's children end with their parent.
        pid = os.posix_spawn(sys.executable, arguments, _environment(settings, environment), setpgroup=0)
    their_channel.close()
    their_lifeline.close()
    channel.setblocking(False)
    return Spawned(pid, threads, channel, lifeline, progress)


def _shared_file() -> IO[bytes]:
    """Without a name, and on Linux without a disk: the root file system may be read-only."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("progress"), "wb+")
    from tempfile import TemporaryFile  # noqa: PLC0415 - 10 ms

    return TemporaryFile()


def _environment(settings: RuntimeSettings, environment: Mapping[str, str]) -> dict[str, str]:
    """The driver's: without our folder in PYTHONPATH, so that our dependencies are none of its own."""
    path = environment.get("PYTHONPATH", "").split(os.pathsep)
    kept = [folder for folder in path if folder and Path(folder) not in RUNTIME_FOLDERS]
    theirs = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
    if kept:
        theirs["PYTHONPATH"] = os.pathsep.join(kept)
    theirs["AML_APP_ROOT"] = str(settings.app_root)
    theirs["AZUREML_ENTRY_SCRIPT"] = settings.entry_script
    return theirs
