"""Installation of packages, some of which have a source distribution only.

Wheels are preferred: no code of a package runs as long as wheels satisfy the requirements. Otherwise each
step is a job of its own with its own folder: checkouts of git, the versions of all packages, and each wheel.
So the code of a source distribution reaches neither the packages nor the source of another one. Wheels are
built by the Python and the compilers of the base image, see base_step.py.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from modelyard.builder.confinement.resource_limits import ResourceLimits
from modelyard.builder.disk import disk_errors
from modelyard.builder.environment.advice import USE_DOCKER_BUILDER
from modelyard.builder.environment.base_step import BaseStep
from modelyard.builder.environment.built_wheel import WHEELS, BuiltWheel
from modelyard.builder.environment.confined_installer import install_confined
from modelyard.builder.environment.git_source import GitSource
from modelyard.builder.environment.lock_file import LockedFile, LockedPackage, read_lock
from modelyard.builder.environment.package_files import PackageFiles, copy_regular, file_digest, read_regular
from modelyard.builder.environment.package_job import (
    InstalledPackages,
    PackageInstaller,
    PackageJob,
    PackageKind,
)
from modelyard.builder.environment.packages import Package, PackageSource, normalized_name
from modelyard.builder.environment.pip import LOCK_FILE
from modelyard.builder.environment.requirement_hashes import RequirementHashes
from modelyard.builder.environment.requirements import Requirements
from modelyard.builder.environment.target import local_platform
from modelyard.builder.log import BuildLog
from modelyard.contract.errors import (
    PackageError,
    SourceBuildFailedError,
    WheelMissingError,
)
from modelyard.redaction import redact

_VERSION: Final = 2
"""Increment this when builds make other wheels of the same source."""
_LOCK_BYTES: Final = 16 * 1024 * 1024
_WHEEL_BYTES: Final = 2 * 1024**3
_WHEEL: Final = re.compile(r"([A-Za-z0-9_.]+)-[A-Za-z0-9_.+!]+(?:-\d[^-]*)?-[\w.]+-[\w.]+-[\w.]+\.whl")
_ANY_PLATFORM: Final = "-none-any.whl"
_SUFFIXES: Final = (".zip", ".tar.bz2", ".tar.xz", ".tgz")


def install_with_sources(
    job: PackageJob, log: BuildLog, run: PackageInstaller = install_confined
) -> InstalledPackages:
    """Do a job, and build wheels if it needs any. `run` does one step. See PackageInstaller.

    Raises SourceBuildFailedError, too.
    """
    if job.kind is PackageKind.RUNTIME or not (job.requirements or "").strip():
        return run(job, log)
    requirements = job.pip
    if not requirements.needs_sources:
        try:
            return run(job, log)
        except WheelMissingError:
            log.write("wheels do not satisfy the requirements: source distributions are built")
            shutil.rmtree(job.folder, ignore_errors=True)
    with disk_errors():
        return _Sources(job, requirements, log, run).install()


class _Sources:
    """The steps of one job, and the files that pass from one to the next."""

    def __init__(
        self, job: PackageJob, requirements: Requirements, log: BuildLog, run: PackageInstaller
    ) -> None:
        self._job = job
        self._requirements = requirements
        self._log = log
        self._run = run
        self._limits = ResourceLimits().within_container()
        self._work = job.folder.parent
        for name in ("sources", WHEELS):  # of an earlier attempt
            shutil.rmtree(self._work / name, ignore_errors=True)
        self._files = PackageFiles(self._work / "sources", job.indexes)
        self._wheels = self._work / WHEELS
        self._wheels.mkdir()
        self._hashes = RequirementHashes(requirements)
        # The requirements may have logins for indexes: each step that resolves packages gets these lines.
        self._index_options = [line for line in requirements.text.splitlines() if _is_index_option(line)]
        self._origins: dict[Path, str] = {}
        """The archive of each checkout → its URL with the commit."""
        self._python = job.python or ""
        self._is_foreign = job.platform != local_platform()
        self._base = BaseStep(job, run, log, self._limits)

    def install(self) -> InstalledPackages:
        """Do the job."""
        with self._base:
            if self._job.kind is PackageKind.CONDA:
                conda = self._job.model_copy(update={"requirements": None, "compiles": False})
                self._python = self._run(conda, self._log).python
            sources: dict[str, PackageSource] = {}
            new: list[BuiltWheel] = []
            lines: list[str] = []
            for package in self._lock(self._with_checkouts()):
                if package.wheels:
                    lines.append(_wheel_line(package, self._hashes))
                    continue
                if package.source is None:
                    raise WheelMissingError(
                        f"{package.name} has neither a wheel for the image nor a source distribution"
                    )
                wheel, is_new, source = self._wheel(package, package.source)
                sources[normalized_name(package.name)] = source
                new += [wheel] if is_new else []
                lines.append(f"{package.name} @ {wheel.path.as_uri()} --hash={wheel.digest}")
        text = _text([*self._index_options, *lines])
        step = self._step(PackageKind.PIP, self._job.folder, lines=text, is_locked=True)
        installed = self._run(step, self._log)
        return InstalledPackages(
            python=self._python,
            packages=tuple(_with_source(package, sources) for package in installed.packages),
            wheels=tuple(new),
        )

    def _with_checkouts(self) -> str:
        """Check out the sources in git, and return the requirements with their archives."""
        lines = []
        for line in self._requirements.text.splitlines():
            git = self._requirements.git.get(line)
            if git is None:
                lines.append(line)
                continue
            archive, commit = self._check_out(git)
            self._origins[archive] = f"git+{redact(git.url)}@{commit}"
            self._log.write(f"{self._origins[archive]}")
            lines.append(git.requirement(archive.as_uri()))
        return _text(lines)

    def _check_out(self, git: GitSource) -> tuple[Path, str]:
        folder = self._work / "checkout" / "out"
        done = self._run(self._step(PackageKind.CHECKOUT, folder, git=git), self._log)
        archive = self._files.new("source.tar.gz")
        copy_regular(folder / "source.tar.gz", archive, self._limits.disk_bytes)
        shutil.rmtree(folder.parent)
        return archive, done.commit or ""

    def _lock(self, text: str) -> list[LockedPackage]:
        """Return all packages with their versions.

        Few packages need the base image to name their dependencies, so its system is the second attempt.
        """
        folder = self._work / "lock" / "out"
        step = self._step(PackageKind.LOCK, folder, lines=text, readable=(self._files.folder,))
        try:
            self._run(step, self._log)
        except SourceBuildFailedError:
            shutil.rmtree(folder.parent, ignore_errors=True)
            system = self._base.system(self._python)
            if system is None:
                raise
            readable = (self._files.folder, system.folder)
            self._run(step.model_copy(update={"system": system, "readable": readable}), self._log)
        packages = read_lock(read_regular(folder / LOCK_FILE, _LOCK_BYTES).decode(errors="replace"))
        shutil.rmtree(folder.parent, ignore_errors=True)
        return packages

    def _wheel(self, package: LockedPackage, locked: LockedFile) -> tuple[BuiltWheel, bool, PackageSource]:
        """Return the wheel of a source distribution, True if it is not from the cache, and its source."""
        path = Path(locked.url)
        if path not in self._origins:
            path = self._files.new(_archive_name(locked.url))
            self._files.download(locked.url, path, self._limits.disk_bytes)
        digest = file_digest(path)
        self._hashes.check(package.name, digest, locked.sha256)
        key = self._key(digest)
        source_url = self._origins.get(path) or redact(locked.url)
        cached = self._files.cached_wheel(key, self._wheels, _WHEEL_BYTES)
        try:
            name = cached or self._build(package, path)
        finally:  # the next wheel of this workspace is built in the same folder
            shutil.rmtree(self._work / "wheel", ignore_errors=True)
        file = self._wheels / name
        wheel = BuiltWheel(key=key, path=file, digest=file_digest(file), size=file.stat().st_size)
        how = "found in the registry, made" if cached else "made"
        self._log.write(f"{package.name}: {name} {how} from {source_url} ({digest})")
        return wheel, cached is None, PackageSource(source_url, digest, wheel.digest)

    def _build(self, package: LockedPackage, source: Path) -> str:
        """Build a wheel, and return its file name."""
        system = self._base.system(self._python)
        folder = self._work / "wheel" / "out"
        step = self._step(
            PackageKind.WHEEL,
            folder,
            source=source,
            system=system,
            readable=(source, system.folder) if system else (source,),
            lines=_text(self._index_options),
        )
        try:
            self._run(step, self._log)
        except PackageError as error:
            if self._is_foreign:
                raise self._no_wheel(package, error.message) from None
            error.message = f"{package.name} {package.version or ''}: {error.message}"
            raise
        found = [file.name for file in folder.iterdir() if _WHEEL.fullmatch(file.name)]
        names = {normalized_name(_WHEEL.fullmatch(name)[1]) for name in found}  # type: ignore[index]
        if len(found) != 1 or names != {normalized_name(package.name)}:
            raise SourceBuildFailedError(
                f"the source distribution of {package.name} made no wheel of this name"
            )
        if self._is_foreign and not found[0].endswith(_ANY_PLATFORM):
            raise self._no_wheel(package, "its source distribution has compiled modules")
        if system is None and not found[0].endswith(_ANY_PLATFORM):
            raise SourceBuildFailedError(
                f"{package.name} has compiled modules, which would be for the system of the builder:"
                f" {self._base.missing}. Require a version with a wheel, or {USE_DOCKER_BUILDER}"
            )
        copy_regular(folder / found[0], self._wheels / found[0], _WHEEL_BYTES)
        return found[0]

    def _no_wheel(self, package: LockedPackage, cause: str) -> WheelMissingError:
        """Return the error of a package that this node cannot build for the platform of the job."""
        return WheelMissingError(
            f"{package.name} {package.version or ''} has no wheel for {self._job.platform}, and a node of"
            f" {local_platform()} cannot build one: {cause}. Require a version with a wheel"
        )

    def _key(self, digest: str) -> str:
        """Return the key of a wheel in the cache: the hash of all inputs of its build."""
        inputs = [
            _VERSION,
            digest,
            self._python,
            self._job.platform,
            self._job.base.model_dump()
            if self._job.base
            else [platform.python_version(), platform.libc_ver()],
            self._index_options,
        ]
        inputs += [list(self._requirements.arguments), self._job.indexes.constraints]
        return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()

    def _step(self, kind: PackageKind, folder: Path, **values: object) -> PackageJob:
        limits = None if kind is PackageKind.PIP else self._limits
        return self._job.model_copy(
            update={"kind": kind, "python": self._python, "folder": folder, "limits": limits, **values}
        )


def _wheel_line(package: LockedPackage, hashes: RequirementHashes) -> str:
    options = "".join(f" --hash={value}" for value in hashes.of(package))
    place = f" @ {package.wheels[0].url}" if package.direct else f"=={package.version}"
    return f"{package.name}{place}{options}"


def _with_source(package: Package, sources: Mapping[str, PackageSource]) -> Package:
    found = sources.get(normalized_name(package.name)) if package.ecosystem == "pypi" else None
    return replace(package, source=found) if found else package


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _is_index_option(line: str) -> bool:
    return line.startswith("-") and not line.startswith(("--no-binary", "--only-binary", "--require-hashes"))


def _archive_name(url: str) -> str:
    """Return a file name with the suffix of the archive, which tells its format."""
    path = url.partition("#")[0].partition("?")[0]
    return f"source{next((suffix for suffix in _SUFFIXES if path.endswith(suffix)), '.tar.gz')}"
