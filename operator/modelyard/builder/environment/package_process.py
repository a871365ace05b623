"""The process that installs packages: confined by Landlock and seccomp, without the secrets of the build.

Its standard input is one PackageJob. Its standard output is lines of PackageMessage, the result as the last.
The guard of the build is its only way to the network.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import uv

from modelyard.builder.confinement.connection_supervisor import send_filter
from modelyard.builder.confinement.landlock import confine
from modelyard.builder.confinement.process_tree import adopt_orphans
from modelyard.builder.confinement.system_call_filter import filter_system_calls
from modelyard.builder.environment.advice import USE_DOCKER_BUILDER
from modelyard.builder.environment.package_job import (
    MessageWriter,
    PackageFailure,
    PackageJob,
    do_job,
)
from modelyard.contract.errors import BuildFailedError, SourceBuildFailedError

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


def main() -> None:
    """Confine this process, do the job of standard input, and write its messages.

    The argument is the socket of the ConnectionSupervisor. The process ends when its parent has ended all
    processes that the job has left.
    """
    job = PackageJob.model_validate_json(sys.stdin.buffer.read())
    writer = MessageWriter(sys.stdout)
    sys.stdout = sys.stderr  # prints of libraries are no messages
    adopt_orphans()
    missing = list(_confine(job, int(sys.argv[1])))
    for line in missing:
        writer.log.write(f"{line}: packages are unpacked without this restriction")
    try:
        if missing and job.kind.runs_code:
            raise SourceBuildFailedError(
                f"source distributions are not built on this node, because {' and '.join(missing)}: require"
                f" versions with wheels, or {USE_DOCKER_BUILDER}"
            )
        writer.send(installed=do_job(job, writer.log))
    except BuildFailedError as error:
        writer.send(failure=PackageFailure.of(error))
    signal.pause()


def _confine(job: PackageJob, sender: int) -> Iterator[str]:
    """Confine this process, and yield each restriction that the kernel lacks."""
    if job.limits:
        job.limits.apply()
    port = urlsplit(job.indexes.proxy).port
    try:
        listener = filter_system_calls(supervised=port is not None)
        if listener is not None:
            send_filter(sender, listener)
    except OSError as error:
        yield f"the kernel filters no system calls ({error.strerror})"
    writable: list[str | Path] = [*_DEVICES, job.folder.parent]
    if not confine(readable=[*_SYSTEM, *_programs(), *job.readable], writable=writable, port=port):
        yield "the kernel has no Landlock"


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


if __name__ == "__main__":
    main()
