"""Installation of packages in a process of its own, which is confined and has none of the build's secrets."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import IO, Final, cast

from pydantic import ValidationError

from modelyard.builder.environment.package_job import InstalledPackages, PackageJob, PackageMessage
from modelyard.builder.environment.pip_settings import PROXIES
from modelyard.builder.log import BuildLog
from modelyard.contract.build_pod import BuildVariable
from modelyard.contract.errors import InstallerKilledError

_MODULE: Final = "modelyard.builder.environment.package_process"
_VARIABLES: Final = frozenset({
    *PROXIES,
    *("NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"),
    BuildVariable.CA_BUNDLE,
    BuildVariable.PIP_CONF,
    BuildVariable.CONDA_CHANNELS,
    BuildVariable.CONDA_MIRRORS,
    BuildVariable.CONDA_VIRTUAL_PACKAGES,
    BuildVariable.CONDA_CREDENTIALS,
    BuildVariable.FETCH_SCHEMES,
    BuildVariable.FETCH_DENIED_NETWORKS,
    BuildVariable.FETCH_ALLOWED_NETWORKS,
})  # fmt: skip
"""Variables of the build that the process needs. It gets no others: some may be credentials."""
_LINE_BYTES: Final = 16 * 1024 * 1024
"""Longest message: the list of packages of an environment. Those of 1000 packages have 200 kB."""


def install_confined(
    job: PackageJob, log: BuildLog, inherited: Mapping[str, str] = os.environ
) -> InstalledPackages:
    """Do a job in a process of its own. See PackageInstaller.

    Raises InstallerKilledError, too, if a signal ends the process, and RuntimeError for a defect of it.
    """
    work = job.folder.parent
    variables = {name: value for name, value in inherited.items() if name in _VARIABLES}
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
            message = _read_messages(cast("IO[bytes]", process.stdout), log)
        finally:
            # A process that a package started may still run, for example after a cancelled build.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if message.failure is not None:
        raise message.failure.error()
    if message.installed is not None:
        return message.installed
    if process.returncode > 0:
        raise RuntimeError(f"the process that installs the packages ended with {process.returncode}")
    raise InstallerKilledError(
        f"the process that installs the packages was ended by {_signal_name(-process.returncode)}: a package"
        " is damaged or hostile, or build.resources.limits.memory is too low for it"
    )


def _read_messages(out: IO[bytes], log: BuildLog) -> PackageMessage:
    """Log the lines of a job, and return its last message. It is empty if the process ends without one."""
    while line := out.readline(_LINE_BYTES):
        try:
            message = PackageMessage.model_validate_json(line)
        except ValidationError:
            log.write(line.decode(errors="replace"))  # an error of Python, or of a library
            continue
        if message.log is None:
            return message
        log.write(message.log)
    return PackageMessage()


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
