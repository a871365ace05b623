"""The installation of packages as one job: messages, and the work that a job describes.

A job is done in a process of its own, see package_process.py: it handles packages that users choose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import IO, Final, NamedTuple, TextIO, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from modelyard.builder.base_system.system import BaseFiles, BaseSystem
from modelyard.builder.confinement.resource_limits import ResourceLimits
from modelyard.builder.environment.built_wheel import BuiltWheel
from modelyard.builder.environment.conda_file import CondaFile
from modelyard.builder.environment.conda_settings import CondaSettings
from modelyard.builder.environment.git_source import GitSource
from modelyard.builder.environment.index_settings import PublicIndexSettings
from modelyard.builder.environment.packages import Package, find_packages
from modelyard.builder.environment.pip import (
    build_wheel,
    install_requirements,
    install_runtime,
    lock_requirements,
)
from modelyard.builder.environment.pip_settings import (
    CA_FILE_VARIABLE,
    CONSTRAINTS,
    PROXIES,
    PipSettings,
)
from modelyard.builder.environment.reproducible_tree import compile_bytecode
from modelyard.builder.environment.requirements import Requirements, parse_requirements
from modelyard.builder.environment.target import Target
from modelyard.builder.environment.uv import Uv
from modelyard.builder.log import BuildLog
from modelyard.contract.build_request import Step
from modelyard.contract.errors import BuildFailedError
from modelyard.contract.image_layout import ENVIRONMENT

_LINE_BYTES: Final = 16 * 1024 * 1024
"""Longest message: the list of packages of an environment. Those of 1000 packages have 200 kB."""
_CONFIG: Final = ConfigDict(frozen=True, extra="forbid")


class PackageKind(StrEnum):
    """Kinds of package layers."""

    RUNTIME = "runtime"
    PIP = "pip"
    CONDA = "conda"
    CHECKOUT = "checkout"
    """The source of a package in a git repository, as an archive."""
    BASE = "base"
    """The system of the base image, in which code of packages runs."""
    LOCK = "lock"
    """The versions of pip requirements, also of packages without wheels."""
    WHEEL = "wheel"
    """A wheel, built from a source distribution."""

    @property
    def has_result_files(self) -> bool:
        """Return True if the files in the folder of the job are its result, and not packages."""
        return self in {PackageKind.CHECKOUT, PackageKind.BASE, PackageKind.LOCK, PackageKind.WHEEL}

    @property
    def runs_code(self) -> bool:
        """Return True if code of packages runs in the job."""
        return self in {PackageKind.LOCK, PackageKind.WHEEL}


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
    lines: str | None = None
    """Lines with files of other jobs, which take the place of those in `requirements`."""
    is_locked: bool = False
    """True if `lines` are all packages, with their versions."""
    readable: tuple[Path, ...] = ()
    """Files and folders of other jobs that the job reads."""
    source: Path | None = None
    """The source distribution of a wheel."""
    git: GitSource | None = None
    """The repository of a checkout."""
    base: BaseFiles | None = None
    """The base image; None if its programs cannot run here."""
    system: BaseSystem | None = None
    """The system of the base image: to unpack, or for code of packages."""
    limits: ResourceLimits | None = None
    compiles: bool = True
    """True to compile the modules of a conda environment."""
    indexes: PublicIndexSettings = PublicIndexSettings()

    @property
    def pip(self) -> Requirements:
        """Return the requirements of pip. Raises RequirementsInvalidError."""
        parsed = parse_requirements(self.requirements or "", self.conda.pip if self.conda else ())
        if self.lines is None:
            return parsed
        arguments = (*parsed.arguments, "--no-deps") if self.is_locked else parsed.arguments
        return replace(parsed, text=self.lines, arguments=arguments)


class InstalledPackages(BaseModel):
    """The result of a job."""

    model_config = _CONFIG

    python: str
    packages: tuple[Package, ...] = ()
    commit: str | None = None
    """The commit of a checkout."""
    wheels: tuple[BuiltWheel, ...] = ()
    """New wheels of source distributions, for the cache."""


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

    @property
    def is_last(self) -> bool:
        """Return True for a result or an error."""
        return self.installed is not None or self.failure is not None

    def result(self) -> InstalledPackages | None:
        """Return the result of a last message, None if the job ended without one. Raises the job's error."""
        if self.failure is not None:
            raise self.failure.error()
        return self.installed


class MessageWriter:
    """Writes the messages of a job to a stream."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self.log = BuildLog(cast("TextIO", self))
        """A log whose lines become messages."""

    def send(
        self, *, installed: InstalledPackages | None = None, failure: PackageFailure | None = None
    ) -> None:
        """Write the result or the error of the job, its last message."""
        self._send(PackageMessage(installed=installed, failure=failure))

    def write(self, text: str) -> None:
        """Write a line of the log, without its step, as a message."""
        self._send(PackageMessage(log=text.partition("] ")[2].rstrip("\n")))

    def flush(self) -> None:
        """Do nothing: each message is flushed."""

    def _send(self, message: PackageMessage) -> None:
        self._out.write(message.model_dump_json(exclude_none=True) + "\n")
        self._out.flush()


def read_messages(stream: IO[bytes], log: BuildLog) -> PackageMessage:
    """Log the lines of a job, and return its last message. It is empty if the stream ends without one."""
    while line := stream.readline(_LINE_BYTES):
        try:
            message = PackageMessage.model_validate_json(line)
        except ValidationError:
            log.write(line.decode(errors="replace"))  # an error of Python, or of a library
            continue
        if message.log is None:
            return message
        log.write(message.log)
    return PackageMessage()


PackageInstaller = Callable[[PackageJob, BuildLog], InstalledPackages]
"""Does a job. Raises the errors of install_conda, install_requirements and install_runtime."""


def do_job(job: PackageJob, log: BuildLog) -> InstalledPackages:
    """Install the packages of a job in this process. See PackageInstaller."""
    work, indexes = job.folder.parent, job.indexes
    ca_bundle = _written(work / "ca.pem", indexes.ca_certificates)
    variables = (
        indexes.variables | dict.fromkeys(PROXIES, indexes.proxy) if indexes.proxy else indexes.variables
    )
    if constraints := _written(work / "constraints.txt", indexes.constraints):
        variables[CONSTRAINTS] = str(constraints)
    if ca_bundle:
        variables[CA_FILE_VARIABLE] = str(ca_bundle)
    pip = PipSettings(prepared=variables)
    conda = CondaSettings(
        channels=indexes.conda_channels,
        mirrors=indexes.conda_mirrors,
        virtual_packages=indexes.conda_virtual_packages,
        retries=indexes.conda_retries,
        ca_bundle=ca_bundle,
        proxy=indexes.proxy,
    )
    done = _do(job, pip, conda, ca_bundle, log)
    # Other jobs install nothing, and code of packages may have written anything into their folder.
    packages = () if job.kind.has_result_files else tuple(find_packages(job.folder))
    return InstalledPackages(python=done.python, packages=packages, commit=done.commit)


def _do(
    job: PackageJob, pip: PipSettings, conda: CondaSettings, ca_bundle: Path | None, log: BuildLog
) -> _Done:
    target = Target(job.python or "", job.platform)
    if job.kind is PackageKind.RUNTIME:
        install_runtime(target, job.folder, pip, log)
    elif job.kind is PackageKind.CONDA:
        return _Done(_install_conda(job, pip, conda, log))
    elif job.kind is PackageKind.CHECKOUT and job.git:
        # Imported here, because few builds need git.
        from modelyard.builder.environment.git_checkout import check_out  # noqa: PLC0415

        return _Done(target.python, check_out(job.git, job.folder, job.indexes.proxy, ca_bundle))
    elif job.kind is PackageKind.BASE and job.base and job.system:
        job.system.prepare(job.base, job.indexes.proxy)
    elif job.kind is PackageKind.LOCK:
        lock_requirements(Uv(job.pip, target, pip, log, job.system), job.folder)
    elif job.kind is PackageKind.WHEEL and job.source:
        build_wheel(Uv(job.pip, target, pip, log, job.system), job.source, job.folder)
    else:
        install_requirements(Uv(job.pip, target, pip, log), job.folder)
    return _Done(target.python)


def _install_conda(job: PackageJob, pip: PipSettings, conda: CondaSettings, log: BuildLog) -> str:
    # Imported here, because rattler is large and few builds need it.
    from modelyard.builder.environment.conda import CondaTarget, install_conda  # noqa: PLC0415

    file = job.conda or CondaFile(())
    python = install_conda(file, CondaTarget(job.platform, job.python), job.folder, conda, log)
    target = Target(python, job.platform)
    if job.requirements:
        install_requirements(Uv(job.pip, target, pip, log), job.folder)
    elif job.compiles:
        compile_bytecode(job.folder, ENVIRONMENT, target, log)
    return python


class _Done(NamedTuple):
    """The result of a job, beside its packages."""

    python: str
    commit: str | None = None


def _written(file: Path, text: str | None) -> Path | None:
    """Return the file with the text, None without a text."""
    if text is None:
        return None
    file.write_text(text)
    return file


def _subclasses(kind: type[BuildFailedError]) -> list[type[BuildFailedError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _subclasses(child))]
