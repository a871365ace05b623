"""The installation of packages as one job: messages, and the work that a job describes.

A job is done in a process of its own, see package_process.py: it handles packages that users choose.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from modelyard.builder.environment.conda_file import CondaFile
from modelyard.builder.environment.conda_settings import CondaSettings
from modelyard.builder.environment.packages import Package, find_packages
from modelyard.builder.environment.pip import install_requirements, install_runtime
from modelyard.builder.environment.pip_settings import PipSettings
from modelyard.builder.environment.reproducible_tree import compile_bytecode
from modelyard.builder.environment.target import Target
from modelyard.builder.log import BuildLog
from modelyard.contract.build_request import Step
from modelyard.contract.errors import BuildFailedError
from modelyard.contract.image_layout import ENVIRONMENT

_CONFIG: Final = ConfigDict(frozen=True, extra="forbid")


class PackageKind(StrEnum):
    """Kinds of package layers."""

    RUNTIME = "runtime"
    PIP = "pip"
    CONDA = "conda"


class PackageJob(BaseModel):
    """Packages for one layer of an image."""

    model_config = _CONFIG

    kind: PackageKind
    folder: Path
    """Folder to create, in a folder of its own that also takes downloads."""
    platform: str
    """Operating system and architecture as in an OCI image index, such as linux/amd64."""
    python: str | None = None
    """Version of the image's Python. For a conda environment the minor version to choose, None for any."""
    requirements: str | None = None
    """Text of a requirements.txt."""
    conda: CondaFile | None = None


class InstalledPackages(BaseModel):
    """The result of a job."""

    model_config = _CONFIG

    python: str
    packages: tuple[Package, ...] = ()


class PackageFailure(BaseModel):
    """The error of a job."""

    model_config = _CONFIG

    code: str
    message: str
    step: Step | None = None
    subject: str | None = None

    @classmethod
    def of(cls, error: BuildFailedError) -> PackageFailure:
        """Return the message for an error."""
        step = Step(error.step) if error.step else None
        return cls(code=error.code, message=error.message, step=step, subject=error.subject)

    def error(self) -> BuildFailedError:
        """Return the error of the message, of the class with its code."""
        failed = next(
            (kind for kind in _subclasses(BuildFailedError) if kind.code == self.code), BuildFailedError
        )(self.message)
        failed.step, failed.subject = self.step, self.subject
        return failed


class PackageMessage(BaseModel):
    """One line that the process of a job writes: a line for the log, or its result or error as the last."""

    model_config = _CONFIG

    log: str | None = None
    installed: InstalledPackages | None = None
    failure: PackageFailure | None = None


PackageInstaller = Callable[[PackageJob, BuildLog], InstalledPackages]
"""Does a job. Raises the errors of install_conda, install_requirements and install_runtime."""


def do_job(job: PackageJob, pip: PipSettings, conda: CondaSettings, log: BuildLog) -> InstalledPackages:
    """Install the packages of a job in this process. See PackageInstaller."""
    python = _install(job, pip, conda, log)
    return InstalledPackages(python=python, packages=tuple(find_packages(job.folder)))


def _install(job: PackageJob, pip: PipSettings, conda: CondaSettings, log: BuildLog) -> str:
    if job.conda is None:
        target = Target(job.python or "", job.platform)
        if job.kind is PackageKind.RUNTIME:
            install_runtime(target, job.folder, pip, log)
        else:
            install_requirements(job.requirements or "", target, job.folder, pip, log)
        return target.python
    # Imported here, because rattler is large and few builds need it.
    from modelyard.builder.environment.conda import CondaTarget, install_conda  # noqa: PLC0415

    python = install_conda(job.conda, CondaTarget(job.platform, job.python), job.folder, conda, log)
    target = Target(python, job.platform)
    if job.requirements:
        install_requirements(job.requirements, target, job.folder, pip, log)
    else:
        compile_bytecode(job.folder, ENVIRONMENT, target, log)
    return python


def _subclasses(kind: type[BuildFailedError]) -> list[type[BuildFailedError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _subclasses(child))]
