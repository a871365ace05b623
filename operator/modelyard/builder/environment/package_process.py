"""The process that installs packages: confined by Landlock, without the secrets of the build.

Its standard input is one PackageJob. Its standard output is lines of PackageMessage, the result as the last.
The guard of the build is its only way to the network.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import uv

from modelyard.builder.environment.landlock import confine
from modelyard.builder.environment.package_job import (
    MessageWriter,
    PackageFailure,
    PackageJob,
    do_job,
)
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
    writer = MessageWriter(sys.stdout)
    sys.stdout = sys.stderr  # prints of libraries are no messages
    port = urlsplit(job.indexes.proxy).port
    writable: list[str | Path] = [*_DEVICES, job.folder.parent]
    if not confine(readable=[*_SYSTEM, *_programs()], writable=writable, port=port):
        writer.log.write(_NOT_CONFINED)
    try:
        writer.send(installed=do_job(job, writer.log))
    except BuildFailedError as error:
        writer.send(failure=PackageFailure.of(error))


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
