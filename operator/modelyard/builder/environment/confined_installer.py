"""Installation of packages in a process of its own, which is confined and has none of the build's secrets."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import IO, Final, cast
from urllib.parse import urlsplit

from modelyard.builder.confinement.connection_supervisor import ConnectionSupervisor
from modelyard.builder.confinement.process_tree import (
    adopt_orphans,
    confined_root,
    kill_tree,
    reap_orphans,
)
from modelyard.builder.confinement.resource_limits import ResourceWatch
from modelyard.builder.environment.advice import USE_DOCKER_BUILDER
from modelyard.builder.environment.package_job import (
    InstalledPackages,
    PackageJob,
    PackageMessage,
    read_messages,
)
from modelyard.builder.environment.pip_settings import PROXIES
from modelyard.builder.log import BuildLog
from modelyard.contract.errors import InstallerKilledError, SourceBuildFailedError

_MODULE: Final = "modelyard.builder.environment.package_process"
_END_SECONDS: Final = 5.0
"""Longest time between the end of a process's output and its end."""
_EXCEEDED: Final = (
    "the build of a source distribution was ended, because it took {limit}: require a version with a wheel,"
    f" or {USE_DOCKER_BUILDER}"
)
_VARIABLES: Final = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
"""Variables that the process inherits. It gets no others: some are credentials."""


def install_confined(
    job: PackageJob, log: BuildLog, inherited: Mapping[str, str] = os.environ
) -> InstalledPackages:
    """Do a job in a process of its own. See PackageInstaller.

    Raises SourceBuildFailedError, too, if the job exceeds its limits, InstallerKilledError if a signal ends
    the process, and RuntimeError for a defect of it.
    """
    work = job.folder.parent
    work.mkdir(parents=True, exist_ok=True)
    variables = {name: inherited[name] for name in _VARIABLES if name in inherited}
    variables |= dict.fromkeys(PROXIES, job.indexes.proxy) if job.indexes.proxy else {}
    adopt_orphans()
    with (
        ConnectionSupervisor(urlsplit(job.indexes.proxy).port) as supervisor,
        subprocess.Popen(  # noqa: S603 - our own module, with no shell
            [sys.executable, "-P", "-m", _MODULE, str(supervisor.sender.fileno())],
            env=variables | {"HOME": str(work), "TMPDIR": str(work)},
            cwd=work,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[supervisor.sender.fileno()],
        ) as process,
        confined_root(process.pid),
    ):
        supervisor.started()
        watch = ResourceWatch(process.pid, work, job.limits) if job.limits else None
        message = PackageMessage()
        try:
            with cast("IO[bytes]", process.stdin) as stdin:
                stdin.write(job.model_dump_json().encode())
            message = read_messages(cast("IO[bytes]", process.stdout), log)
            if not message.is_last:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_END_SECONDS)  # its exit code is part of the error
        finally:
            if watch:
                watch.stop()
            # Processes that packages started may still run, also after a cancelled build.
            kill_tree(process.pid)
    reap_orphans()
    if watch and watch.exceeded:
        raise SourceBuildFailedError(_EXCEEDED.format(limit=watch.exceeded))
    if installed := message.result():
        return installed
    if process.returncode > 0:
        raise RuntimeError(f"the process that installs the packages ended with {process.returncode}")
    raise InstallerKilledError(
        f"the process that installs the packages was ended by {_signal_name(-process.returncode)}: a package"
        " is damaged or hostile, or build.resources.limits.memory is too low for it"
    )


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
