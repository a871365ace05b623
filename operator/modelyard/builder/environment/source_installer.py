"""Installation of packages, some of which have a source distribution only.

Wheels are preferred: no code of a package runs as long as wheels satisfy the requirements. Otherwise each
step is a job of its own with its own folder: checkouts of git, the versions of all packages, and each wheel.
So the code of a source distribution reaches neither the packages nor the source of another one.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from modelyard.builder.confinement.resource_limits import ResourceLimits
from modelyard.builder.disk import disk_errors
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
from modelyard.builder.environment.requirements import Requirements
from modelyard.builder.log import BuildLog
from modelyard.contract.errors import (
    PackageError,
    RequirementsInvalidError,
    SourceBuildFailedError,
    WheelMissingError,
)
from modelyard.redaction import redact

_VERSION: Final = 1
"""Increment this when builds make other wheels of the same source."""
_LOCK_BYTES: Final = 16 * 1024 * 1024
_WHEEL_BYTES: Final = 2 * 1024**3
_WHEEL: Final = re.compile(r"([A-Za-z0-9_.]+)-[A-Za-z0-9_.+!]+(?:-\d[^-]*)?-[\w.]+-[\w.]+-[\w.]+\.whl")
_SUFFIXES: Final = (".zip", ".tar.bz2", ".tar.xz", ".tgz")
_HASH: Final = re.compile(r"--hash[=\s]\s*(\S+)")


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
        return _Sources(job, requirements, log, run, ResourceLimits().within_container()).install()


@dataclass(frozen=True)
class _Sources:
    """The steps of one job."""

    job: PackageJob
    requirements: Requirements
    log: BuildLog
    run: PackageInstaller
    limits: ResourceLimits

    @property
    def work(self) -> Path:
        return self.job.folder.parent

    @property
    def _index_options(self) -> list[str]:
        """Return the lines of the requirements that choose indexes, for each step that resolves packages."""
        return [line for line in self.requirements.text.splitlines() if _is_index_option(line)]

    def install(self) -> InstalledPackages:
        python = self._python()
        for name in ("sources", WHEELS):  # of an earlier attempt
            shutil.rmtree(self.work / name, ignore_errors=True)
        files = PackageFiles(self.work / "sources", self.job.indexes)
        wheels = self.work / WHEELS
        wheels.mkdir()
        origins: dict[Path, str] = {}
        text = self._with_checkouts(python, files, origins)
        sources: dict[str, PackageSource] = {}
        new: list[BuiltWheel] = []
        lines: list[str] = []
        hashes = _Hashes(self.requirements)
        for package in self._lock(python, text, files.folder):
            if package.wheels:
                lines.append(_wheel_line(package, hashes))
                continue
            if package.source is None:
                raise WheelMissingError(
                    f"{package.name} has neither a wheel for the image nor a source distribution"
                )
            wheel, is_new, source = self._wheel(
                package, package.source, python, files, wheels, hashes, origins
            )
            sources[normalized_name(package.name)] = source
            new += [wheel] if is_new else []
            lines.append(f"{package.name} @ {wheel.path.as_uri()} --hash={wheel.digest}")
        text = _text([*self._index_options, *lines])
        step = self._step(PackageKind.PIP, python, self.job.folder, lines=text, is_locked=True)
        installed = self.run(step, self.log)
        return InstalledPackages(
            python=python,
            packages=tuple(_with_source(package, sources) for package in installed.packages),
            wheels=tuple(new),
        )

    def _python(self) -> str:
        """Return the Python version, after the installation of a conda environment."""
        if self.job.kind is not PackageKind.CONDA:
            return self.job.python or ""
        return self.run(
            self.job.model_copy(update={"requirements": None, "compiles": False}), self.log
        ).python

    def _with_checkouts(self, python: str, files: PackageFiles, origins: dict[Path, str]) -> str:
        """Check out the sources in git, and return the requirements with their archives."""
        lines = []
        for line in self.requirements.text.splitlines():
            git = self.requirements.git.get(line)
            if git is None:
                lines.append(line)
                continue
            archive, commit = self._check_out(git, python, files)
            origins[archive] = f"git+{redact(git.url)}@{commit}"
            self.log.write(f"{origins[archive]}")
            lines.append(git.requirement(archive.as_uri()))
        return _text(lines)

    def _check_out(self, git: GitSource, python: str, files: PackageFiles) -> tuple[Path, str]:
        folder = self.work / "checkout" / "out"
        done = self.run(self._step(PackageKind.CHECKOUT, python, folder, git=git), self.log)
        archive = files.new("source.tar.gz")
        copy_regular(folder / "source.tar.gz", archive, self.limits.disk_bytes)
        shutil.rmtree(folder.parent)
        return archive, done.commit or ""

    def _lock(self, python: str, text: str, sources: Path) -> list[LockedPackage]:
        folder = self.work / "lock" / "out"
        self.run(self._step(PackageKind.LOCK, python, folder, lines=text, readable=(sources,)), self.log)
        packages = read_lock(read_regular(folder / LOCK_FILE, _LOCK_BYTES).decode(errors="replace"))
        shutil.rmtree(folder.parent, ignore_errors=True)
        return packages

    def _wheel(
        self,
        package: LockedPackage,
        locked: LockedFile,
        python: str,
        files: PackageFiles,
        wheels: Path,
        hashes: _Hashes,
        origins: Mapping[Path, str],
    ) -> tuple[BuiltWheel, bool, PackageSource]:
        """Return the wheel of a source distribution, True if it is not from the cache, and its source."""
        path = Path(locked.url)
        if path not in origins:
            path = files.new(_archive_name(locked.url))
            files.download(locked.url, path, self.limits.disk_bytes)
        digest = file_digest(path)
        hashes.check(package.name, digest, locked.sha256)
        key = self._key(digest, python)
        source_url = origins.get(path) or redact(locked.url)
        cached = files.cached_wheel(key, wheels, _WHEEL_BYTES)
        name = cached or self._build(package, path, python, wheels)
        file = wheels / name
        wheel = BuiltWheel(key=key, path=file, digest=file_digest(file), size=file.stat().st_size)
        how = "found in the registry, made" if cached else "made"
        self.log.write(f"{package.name}: {name} {how} from {source_url} ({digest})")
        return wheel, cached is None, PackageSource(source_url, digest, wheel.digest)

    def _build(self, package: LockedPackage, source: Path, python: str, wheels: Path) -> str:
        """Build a wheel, and return its file name."""
        folder = self.work / "wheel" / "out"
        options = _text(self._index_options)
        step = self._step(PackageKind.WHEEL, python, folder, source=source, readable=(source,), lines=options)
        try:
            self.run(step, self.log)
        except PackageError as error:
            error.message = f"{package.name} {package.version or ''}: {error.message}"
            raise
        found = [file.name for file in folder.iterdir() if _WHEEL.fullmatch(file.name)]
        names = {normalized_name(_WHEEL.fullmatch(name)[1]) for name in found}  # type: ignore[index]
        if len(found) != 1 or names != {normalized_name(package.name)}:
            raise SourceBuildFailedError(
                f"the source distribution of {package.name} made no wheel of this name"
            )
        copy_regular(folder / found[0], wheels / found[0], _WHEEL_BYTES)
        shutil.rmtree(folder.parent, ignore_errors=True)
        return found[0]

    def _key(self, digest: str, python: str) -> str:
        """Return the key of a wheel in the cache: the hash of all inputs of its build."""
        inputs = [
            _VERSION,
            digest,
            python,
            self.job.platform,
            platform.python_version(),
            platform.libc_ver(),
            self._index_options,
        ]
        inputs += [list(self.requirements.arguments), self.job.indexes.constraints]
        return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()

    def _step(self, kind: PackageKind, python: str, folder: Path, **values: object) -> PackageJob:
        limits = None if kind is PackageKind.PIP else self.limits
        return self.job.model_copy(
            update={"kind": kind, "python": python, "folder": folder, "limits": limits, **values}
        )


class _Hashes:
    """The option `--hash` of requirements. If one has it, all packages need it, as in pip."""

    def __init__(self, requirements: Requirements) -> None:
        self._of_name: dict[str, set[str]] = {}
        self._needed = "--require-hashes" in requirements.text.split()
        for line in requirements.text.splitlines():
            if found := _HASH.findall(line):
                name = re.split(r"[\s\[=<>!~;@]", line, maxsplit=1)[0]
                self._of_name[normalized_name(name)] = set(found)
        self._needed |= bool(self._of_name)

    def of(self, package: LockedPackage) -> Iterable[str]:
        """Return the hashes of the wheels of a package, those of the user if there are any."""
        if self._needed:
            return sorted(self._user_hashes(package.name))
        return sorted(f"sha256:{file.sha256}" for file in package.wheels if file.sha256)

    def check(self, name: str, digest: str, expected: str | None) -> None:
        """Raise RequirementsInvalidError if a source distribution does not have its hash."""
        if self._needed and digest not in self._user_hashes(name):
            raise RequirementsInvalidError(
                f"{name}: the source distribution has the hash {digest}, and no line has it"
            )
        if expected and digest != f"sha256:{expected}":
            raise RequirementsInvalidError(
                f"{name}: Hash mismatch: the index promised sha256:{expected}, not {digest}"
            )

    def _user_hashes(self, name: str) -> set[str]:
        try:
            return self._of_name[normalized_name(name)]
        except KeyError:
            raise RequirementsInvalidError(
                f"{name} has no --hash, which all packages must have if one has it"
            ) from None


def _wheel_line(package: LockedPackage, hashes: _Hashes) -> str:
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
