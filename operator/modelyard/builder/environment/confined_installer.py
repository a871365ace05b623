"""Installation of packages in a process of its own, which is confined and has none of the build's secrets."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import IO, Final, cast

from modelyard.builder.environment.package_job import InstalledPackages, PackageJob, read_messages
from modelyard.builder.environment.pip_settings import PROXIES
from modelyard.builder.log import BuildLog
from modelyard.contract.errors import InstallerKilledError

_MODULE: Final = "modelyard.builder.environment.package_process"
_VARIABLES: Final = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
"""Variables that the process inherits. It gets no others: some are credentials."""


def install_confined(
    job: PackageJob, log: BuildLog, inherited: Mapping[str, str] = os.environ
) -> InstalledPackages:
    """Do a job in a process of its own. See PackageInstaller.

    Raises InstallerKilledError, too, if a signal ends the process, and RuntimeError for a defect of it.
    """
    work = job.folder.parent
    work.mkdir(parents=True, exist_ok=True)
    variables = {name: inherited[name] for name in _VARIABLES if name in inherited}
    variables |= dict.fromkeys(PROXIES, job.indexes.proxy) if job.indexes.proxy else {}
    with subprocess.Popen(  # noqa: S603 - our own module, with no shell
        [sys.executable, "-P", "-m", _MODULE],
        env=variables | {"HOME": str(work), "TMPDIR": str(work)},
        cwd=work,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            with cast("IO[bytes]", process.stdin) as stdin:
                stdin.write(job.model_dump_json().encode())
            message = read_messages(cast("IO[bytes]", process.stdout), log)
        finally:
            # A process that a package started may still run, for example after a cancelled build.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
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
