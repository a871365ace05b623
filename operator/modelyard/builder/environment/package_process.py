"""The process that installs packages: confined by Landlock, without the secrets of the build.

Its standard input is one PackageJob. Its standard output is lines of PackageMessage, the result as the last.
Its settings are the environment variables of the build.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Final, TextIO, cast

import uv

from modelyard.builder.environment.conda_settings import CondaSettings
from modelyard.builder.environment.landlock import confine
from modelyard.builder.environment.package_job import (
    PackageFailure,
    PackageJob,
    PackageMessage,
    do_job,
)
from modelyard.builder.environment.pip_settings import PipSettings
from modelyard.builder.log import BuildLog
from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.builder.variables import optional_path
from modelyard.contract.build_pod import BuildVariable
from modelyard.contract.errors import BuildFailedError

_SYSTEM: Final = (
    *("/usr", "/opt", "/bin", "/sbin", "/lib", "/lib32", "/lib64"),
    *("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf"),
    *("/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/localtime", "/etc/os-release", "/etc/machine-id"),
    *("/etc/passwd", "/etc/group", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d"),
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/sys/vm", "/sys/fs/cgroup", "/sys/devices/system/cpu"),
    *("/dev/urandom", "/dev/random", "/dev/zero"),
)
"""Files of the operating system that uv, rattler and Python read. `/etc/modelyard` is not among them."""
_DEVICES: Final = ("/dev/null", "/dev/shm")  # noqa: S108 - semaphores of the byte code compiler
_NOT_CONFINED: Final = "the kernel has no Landlock: packages are unpacked without this restriction"


def main() -> None:
    """Confine this process, do the job of standard input, and write its messages."""
    job = PackageJob.model_validate_json(sys.stdin.buffer.read())
    messages, sys.stdout = sys.stdout, sys.stderr
    log = BuildLog(cast("TextIO", _LogMessages(messages)))
    pip_conf = optional_path(os.environ, BuildVariable.PIP_CONF)
    ca_bundle = optional_path(os.environ, BuildVariable.CA_BUNDLE)
    conda = CondaSettings.from_environment(os.environ)
    settings = [file.parent for file in (pip_conf, ca_bundle, conda.credentials) if file]
    if not confine(readable=[*_SYSTEM, *_programs(), *settings], writable=[*_DEVICES, job.folder.parent]):
        log.write(_NOT_CONFINED)
    pip = PipSettings(ca_bundle, pip_conf, EgressPolicy.from_environment(os.environ))
    try:
        result = PackageMessage(installed=do_job(job, pip, conda, log))
    except BuildFailedError as error:
        result = PackageMessage(failure=PackageFailure.of(error))
    _write(messages, result)


def _programs() -> list[Path]:
    """Return the folders of Python, its packages, this package and uv."""
    package = Path(__file__).parents[3]
    return [
        Path(sys.prefix),
        Path(sys.base_prefix),
        *(Path(folder) for folder in sys.path if folder.endswith("-packages")),
        package,
        Path(uv.find_uv_bin()).parent,
    ]


class _LogMessages(io.TextIOBase):
    """A stream for a BuildLog that writes each line as a message, without its step."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        _write(self._out, PackageMessage(log=text.partition("] ")[2].rstrip("\n")))
        return len(text)

    def flush(self) -> None:
        """Do nothing: each message is flushed."""


def _write(out: TextIO, message: PackageMessage) -> None:
    out.write(message.model_dump_json(exclude_none=True) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
