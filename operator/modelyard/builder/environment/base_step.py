"""The system of the base image for the code of source distributions, unpacked once it is needed."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from typing import Final, Self

from modelyard.builder.base_system.system import BaseSystem
from modelyard.builder.confinement.resource_limits import ResourceLimits
from modelyard.builder.environment.package_job import PackageInstaller, PackageJob, PackageKind
from modelyard.builder.environment.target import Target
from modelyard.builder.log import BuildLog
from modelyard.contract.errors import SourceBuildFailedError

_LINK: Final = "/tmp/my-{}"  # noqa: S108 - a loader has room for 16 characters, see loader.py


class BaseStep:
    """A context manager, which removes the files of the base image at its end."""

    def __init__(self, job: PackageJob, run: PackageInstaller, log: BuildLog, limits: ResourceLimits) -> None:
        self._job = job
        self._run = run
        self._log = log
        self._limits = limits
        self._folder = job.folder.parent / "base"
        self._system: BaseSystem | None = None
        self.missing = "" if job.base else "the programs of the base image cannot run on this node"
        """The reason why there is no system, empty until it was tried."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._system is not None:
            self._system.cache.unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def system(self, python: str) -> BaseSystem | None:
        """Return the system, None if it cannot be used for packages of a Python version. See `missing`."""
        if self._system is None and not self.missing:
            try:
                self._system = self._unpacked(Target(python, self._job.platform))
            except SourceBuildFailedError as error:
                self.missing = error.message
                self._log.write(f"source distributions without compiled modules only: {error.message}")
        return self._system

    def _unpacked(self, target: Target) -> BaseSystem:
        base = self._job.base
        if base is None:
            raise SourceBuildFailedError(self.missing)
        self._log.write("the base image is unpacked, for its Python and its compilers")
        shutil.rmtree(self._folder, ignore_errors=True)
        system = BaseSystem(
            folder=self._folder / "system", path=base.path, cache=Path(_LINK.format(secrets.token_hex(4)))
        )
        step = self._job.model_copy(
            update={
                "kind": PackageKind.BASE,
                "folder": system.folder,
                "system": system,
                "limits": self._limits,
            }
        )
        self._run(step, self._log)
        if system.python(target.minor) is None:
            raise SourceBuildFailedError(f"the PATH of the base image has no python{target.minor}")
        system.cache.symlink_to(system.cache_file)
        return system
