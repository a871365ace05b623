"""Installation of a conda environment into a folder of a future image, by rattler.

No link script and no Python of the environment runs. Users choose the source of the packages, and a build
holds the credentials of the registry. Packages that record their path record ENVIRONMENT, the folder in the
image.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from rattler import (
    Channel,
    ChannelPriority,
    Gateway,
    MatchSpec,
    RepoDataRecord,
    Subdir,
    Version,
    install,
    solve,
)
from rattler.config import Config
from rattler.exceptions import InvalidMatchSpecError
from rattler.networking import Client
from rattler.package import BuildString, PackageName
from rattler.virtual_package import GenericVirtualPackage

from modelyard.builder.disk import disk_errors
from modelyard.builder.environment.bytecode import make_unchecked
from modelyard.builder.environment.conda_cache import fetch_packages, offline_client
from modelyard.builder.environment.conda_errors import panic_errors, rattler_errors
from modelyard.builder.environment.conda_file import CondaFile
from modelyard.builder.environment.conda_package import check_environment
from modelyard.builder.environment.conda_python import check_python, python_version
from modelyard.builder.environment.conda_settings import CondaSettings
from modelyard.builder.environment.foreign_export import export_hint
from modelyard.builder.environment.packages import read_record
from modelyard.builder.log import BuildLog
from modelyard.contract.errors import (
    BaseImageUnfitError,
    CondaFailedError,
    CondaFileInvalidError,
    PythonVersionConflictError,
)
from modelyard.contract.image_layout import ENVIRONMENT
from modelyard.sizes import human

_SUBDIRS: Final = {"linux/amd64": "linux-64", "linux/arm64": "linux-aarch64"}
_ARCHITECTURES: Final = {"linux-64": "x86_64", "linux-aarch64": "aarch64"}  # builds of the package __archspec
_REPODATA_SECONDS: Final = 180  # timeout of one whole file: the largest of conda-forge has 50 MB
_PACKAGE_SECONDS: Final = 900  # timeout of one whole package: the largest have some GB
_SOLVE_TIMEOUT: Final = timedelta(seconds=300)
_BUILDER_FIELDS: Final = ("extracted_package_dir", "link", "package_tarball_full_path")
"""Fields of the files in conda-meta that contain paths of the builder."""
_CA_VARIABLE: Final = "SSL_CERT_FILE"


@dataclass(frozen=True)
class CondaTarget:
    """The platform and the Python that an environment is solved for."""

    platform: str
    """Operating system and architecture as in an OCI image index: linux/amd64 or linux/arm64."""
    python: str | None = None
    """The minor version of properties.pythonVersion, such as `3.12`; None if it is not set."""


def install_conda(
    file: CondaFile, target: CondaTarget, folder: Path, settings: CondaSettings, log: BuildLog
) -> str:
    """Install the conda packages of an environment file into an empty folder, and return its Python version.

    The list `pip:` of the file is not installed. Equal packages make equal files. Downloaded packages take
    space beside the folder until the function returns.

    Raises CondaFileInvalidError, CondaFailedError, CondaPackageUnsafeError, PythonVersionConflictError,
    PackageIndexUnavailableError, PackageIndexUntrustedError, BaseImageUnfitError and DiskFullError.
    """
    cache = folder.with_name(f"{folder.name}-packages")
    try:
        environment = _Environment(file, target, settings, cache, log)
        with panic_errors():
            python = asyncio.run(environment.install(folder))
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    with disk_errors():
        _make_reproducible(folder)
    for script in sorted(folder.glob("bin/.*-post-link.sh")):
        log.write(f"{script.name} is not run: builds run no link scripts")
    return python


class _Environment:
    """The solution of one environment file for one target."""

    def __init__(
        self, file: CondaFile, target: CondaTarget, settings: CondaSettings, cache: Path, log: BuildLog
    ) -> None:
        if target.platform not in _SUBDIRS:
            raise BaseImageUnfitError(
                f"the base image is for {target.platform}: conda environments need one for"
                f" {' or '.join(_SUBDIRS)}"
            )
        if not file.names_python and target.python is None:
            raise CondaFileInvalidError(
                "no python among the dependencies: add one, such as python=3.12, or set"
                " properties.pythonVersion"
            )
        self._subdir = _SUBDIRS[target.platform]
        self._python = target.python
        self._settings = settings
        self._cache = cache
        self._packages = cache / "packages"
        self._packages.mkdir(parents=True)
        self._log = log
        self._channels = tuple(
            url for channel in file.channels or settings.channels for url in settings.urls(channel)
        )
        self._dependencies = file.dependencies
        self._specs = [self._spec(dependency) for dependency in file.dependencies]
        for dependency, spec in zip(file.dependencies, self._specs, strict=True):
            check_python(dependency, spec)

    async def install(self, folder: Path) -> str:
        """Solve and install, and return the Python version."""
        config = _config(self._settings)
        with _ca_bundle_for_rattler(self._settings.ca_bundle):
            repodata_client = self._client(config, _REPODATA_SECONDS)
            package_client = self._client(config, _PACKAGE_SECONDS)
        records = await self._solve_with_python(
            Gateway(cache_dir=self._cache / "repodata", client=repodata_client)
        )
        python = python_version(records)
        for record in sorted(records, key=lambda record: record.name.normalized):
            self._log.write(f"{record.name.normalized} {record.version} {record.build}")
        size = human(sum(record.size or 0 for record in records))
        self._log.write(f"{len(records)} conda packages, {size} to download")
        packages = await fetch_packages(
            records, python, self._packages, package_client, self._settings.retries
        )
        with self._errors():
            await install(
                records,
                target_prefix=folder,
                alternative_target_prefix=ENVIRONMENT,
                package_cache=packages,
                installed_packages=[],
                platform=Subdir(self._subdir),
                execute_link_scripts=False,
                show_progress=False,
                client=offline_client(),
            )
        check_environment(folder)
        return python

    async def _solve_with_python(self, gateway: Gateway) -> list[RepoDataRecord]:
        """Solve with the Python of properties.pythonVersion, if it is set."""
        if self._python is None:
            return await self._solve(gateway, self._specs)
        try:
            return await self._solve(gateway, [*self._specs, MatchSpec(f"python {self._python}.*")])
        except CondaFailedError:
            # Solve again without the version, to tell the user which Python the packages allow. rattler's own
            # explanation is much longer.
            allowed = python_version(await self._solve(gateway, self._specs))
        raise PythonVersionConflictError(
            f"properties.pythonVersion is {self._python}, but the packages of condaEnvFile need python"
            f" {allowed}: change one of them, or remove pythonVersion"
        )

    async def _solve(self, gateway: Gateway, specs: Sequence[MatchSpec]) -> list[RepoDataRecord]:
        with self._errors():
            return await solve(
                [Channel(url) for url in self._channels],
                specs,
                gateway=gateway,
                platforms=[Subdir(self._subdir), Subdir("noarch")],
                virtual_packages=self._virtual_packages(),
                # conda's default, which the author of the file had.
                channel_priority=ChannelPriority.Flexible,
                channel_relations="disabled",
                timeout=_SOLVE_TIMEOUT,
            )

    def _errors(self) -> AbstractContextManager[None]:
        channels = f"{' and '.join(self._channels)} for {self._subdir}"
        return rattler_errors(channels, export_hint(self._dependencies))

    def _spec(self, dependency: str) -> MatchSpec:
        """Parse a dependency. The channel in `channel::package` is mirrored, and searched like the others."""
        channel, separator, package = dependency.rpartition("::")
        try:
            if not separator:
                return MatchSpec(dependency, strict=False)
            (url, *_) = self._settings.urls(channel)
            if url not in self._channels:
                self._channels = (*self._channels, url)
            return MatchSpec(f"{url}::{package}", strict=False)
        except InvalidMatchSpecError as error:
            raise CondaFileInvalidError(f"the dependency {dependency!r} is invalid: {error}") from None

    def _virtual_packages(self) -> list[GenericVirtualPackage]:
        versions = {"__unix": "0", **self._settings.virtual_packages}
        archspec = _virtual_package("__archspec", "1", _ARCHITECTURES[self._subdir])
        return [archspec, *(_virtual_package(name, version) for name, version in versions.items())]

    def _client(self, config: Config, timeout_seconds: int) -> Client:
        return Client.from_config(config, max_retries=self._settings.retries, timeout=timeout_seconds)


def _config(settings: CondaSettings) -> Config:
    """Return rattler's configuration in TOML. A JSON string is a TOML string, too."""
    lines = ['tls-root-certs = "system"']  # the setting that reads SSL_CERT_FILE
    if settings.proxy:
        proxy = json.dumps(settings.proxy)
        lines.append(f"proxy-config = {{http = {proxy}, https = {proxy}}}")
    return Config.from_toml("\n".join(lines))


@contextmanager
def _ca_bundle_for_rattler(ca_bundle: Path | None) -> Iterator[None]:
    """Set SSL_CERT_FILE while rattler creates its clients.

    rattler 0.28 has no other way to trust a file of CA certificates: its setting `tls-root-certs` is `webpki`
    or `system`. A client reads the file when it is created, so the variable is set for some 15 ms and not for
    the downloads. Other threads of the build, such as uploads, may read the variable without harm: all parts
    of a build trust the same file.
    """
    if ca_bundle is None:
        yield
        return
    before = os.environ.get(_CA_VARIABLE)
    os.environ[_CA_VARIABLE] = str(ca_bundle)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CA_VARIABLE]
        else:
            os.environ[_CA_VARIABLE] = before


def _virtual_package(name: str, version: str, build: str = "0") -> GenericVirtualPackage:
    return GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))


def _make_reproducible(folder: Path) -> None:
    """Remove the builder's paths and times, and keep byte code valid with other times of files."""
    (folder / "CACHEDIR.TAG").unlink(missing_ok=True)
    for file in (folder / "conda-meta").glob("*.json"):
        record = read_record(file)
        if record is None:
            continue
        fields = {key: value for key, value in record.items() if key not in _BUILDER_FIELDS}
        file.write_text(json.dumps(fields, indent=1, sort_keys=True))
    for file in folder.rglob("*.pyc"):
        make_unchecked(file)
