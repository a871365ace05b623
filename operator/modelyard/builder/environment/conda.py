"""A conda environment as a tree of files, solved and linked by rattler with nothing of it run.

Neither link scripts nor the environment's own Python run here: packages come from wherever the user says, and
a build holds the registry's credentials. What packages want to know of where they are says ENVIRONMENT, which
is where the tree will be in the image.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
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
from modelyard.builder.environment.conda_errors import rattler_errors
from modelyard.builder.environment.conda_file import CondaFile
from modelyard.builder.environment.conda_settings import CondaSettings
from modelyard.builder.environment.pip_settings import PROXIES
from modelyard.builder.log import BuildLog
from modelyard.builder.sources.egress_proxy import run_egress_proxy
from modelyard.contract.build_request import CONDA_ENV_FILE
from modelyard.contract.errors import (
    BaseImageUnfitError,
    CondaFailedError,
    CondaFileInvalidError,
    PythonVersionConflictError,
)
from modelyard.contract.image_layout import ENVIRONMENT
from modelyard.sizes import human

_URL: Final = re.compile(r"https?:[^\s\]'\",]+", re.IGNORECASE)
_SUBDIRS: Final = {"linux/amd64": "linux-64", "linux/arm64": "linux-aarch64"}
_ARCHITECTURES: Final = {"linux-64": "x86_64", "linux-aarch64": "aarch64"}  # as __archspec calls them
_LEAST_PYTHON: Final = (3, 11)  # of the scoring runtime, requires-python of pyproject.toml
_REPODATA_SECONDS: Final = 180  # for one file, all of it: conda-forge's largest is 50 MB
_PACKAGE_SECONDS: Final = 900  # for one package, all of it: the largest have some GB
_SOLVE: Final = timedelta(seconds=300)
_MACHINE: Final = (
    "extracted_package_dir",
    "link",
    "package_tarball_full_path",
)  # of conda-meta: the builder's


@dataclass(frozen=True)
class CondaTarget:
    """What the environment is for."""

    platform: str
    """As in an image index: linux/amd64 or linux/arm64."""
    python: str | None = None
    """The minor version that the user asks for beside the file, such as `3.12`."""


def install_conda(
    file: CondaFile, target: CondaTarget, folder: Path, settings: CondaSettings, log: BuildLog
) -> str:
    """Make the environment in an empty folder, without what the file asks of pip; its Python's version.

    `folder` is to become ENVIRONMENT. Equal packages make equal files. Beside it there must be room for the
    packages themselves, for a while. Raises CondaFileInvalidError, CondaFailedError,
    PythonVersionConflictError, PackageIndexUnavailableError, BaseImageUnfitError, DiskFullError.
    """
    cache = folder.with_name(f"{folder.name}-packages")
    try:
        with _trusting(settings.ca_bundle):
            environment = _Environment(file, target, settings, cache, log)
            # Where there is a proxy already, it is that one's to refuse addresses.
            foreign = [] if any(map(os.environ.get, PROXIES)) else environment.urls
            with run_egress_proxy(settings.policy, CONDA_ENV_FILE, foreign, settings.trusted) as proxy:
                python = asyncio.run(environment.make(folder, proxy))
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    with disk_errors():
        _settle(folder)
    for script in sorted(folder.glob("bin/.*-post-link.sh")):
        log.write(f"{script.name} is not run: link scripts never are in builds")
    return python


class _Environment:
    def __init__(
        self, file: CondaFile, target: CondaTarget, settings: CondaSettings, cache: Path, log: BuildLog
    ) -> None:
        if target.platform not in _SUBDIRS:
            raise BaseImageUnfitError(
                f"the base image is for {target.platform}; conda environments are made for"
                f" {' and '.join(_SUBDIRS)}"
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
        self._log = log
        self._channels = tuple(
            url for channel in file.channels or settings.channels for url in settings.urls(channel)
        )
        self._named = file.dependencies
        self._specs = [self._spec(dependency) for dependency in file.dependencies]

    @property
    def urls(self) -> list[str]:
        """Where channels and single packages are, as far as that is known before they are asked."""
        return [
            *self._channels,
            *(url for spec in self._named for url in _URL.findall(spec.rpartition("::")[2])),
        ]

    async def make(self, folder: Path, proxy: str | None = None) -> str:
        """By way of a `proxy`, if one is given; see install_conda."""
        self._config = _config(self._settings, proxy)
        records = await self._solved()
        python = _python_of(records)
        for record in sorted(records, key=lambda record: record.name.normalized):
            self._log.write(f"{record.name.normalized} {record.version} {record.build}")
        size = human(sum(record.size or 0 for record in records))
        self._log.write(f"{len(records)} conda packages, {size} to download")
        with self._errors():
            await install(
                records,
                target_prefix=folder,
                alternative_target_prefix=ENVIRONMENT,
                cache_dir=self._cache,
                installed_packages=[],
                platform=Subdir(self._subdir),
                execute_link_scripts=False,
                show_progress=False,
                client=self._client(_PACKAGE_SECONDS),
            )
        return python

    async def _solved(self) -> list[RepoDataRecord]:
        gateway = Gateway(cache_dir=self._cache / "repodata", client=self._client(_REPODATA_SECONDS))
        if self._python is None:
            return await self._solve(gateway, self._specs)
        try:
            return await self._solve(gateway, [*self._specs, MatchSpec(f"python {self._python}.*")])
        except CondaFailedError:
            # Of its own accord it would be another one, then: that is easier to understand than a proof.
            found = _python_of(await self._solve(gateway, self._specs))
        raise PythonVersionConflictError(
            f"properties.pythonVersion is {self._python}, and the packages of condaEnvFile go with"
            f" python {found}: change one of them, or leave pythonVersion out"
        )

    async def _solve(self, gateway: Gateway, specs: Sequence[MatchSpec]) -> list[RepoDataRecord]:
        with self._errors():
            return await solve(
                [Channel(url) for url in self._channels],
                specs,
                gateway=gateway,
                platforms=[Subdir(self._subdir), Subdir("noarch")],
                virtual_packages=self._virtual_packages(),
                # As conda itself by default: what the file meant on its author's machine.
                channel_priority=ChannelPriority.Flexible,
                channel_relations="disabled",
                timeout=_SOLVE,
            )

    def _errors(self) -> AbstractContextManager[None]:
        return rattler_errors(f"{' and '.join(self._channels)} for {self._subdir}")

    def _spec(self, dependency: str) -> MatchSpec:
        """`channel::package` is from that channel, mirrored or not, and it is one of the channels then."""
        channel, separator, package = dependency.rpartition("::")
        try:
            if not separator:
                return MatchSpec(dependency, strict=False)
            (url, *_) = self._settings.urls(channel)
            if url not in self._channels:
                self._channels = (*self._channels, url)
            return MatchSpec(f"{url}::{package}", strict=False)
        except InvalidMatchSpecError as error:
            raise CondaFileInvalidError(f"the dependency {dependency!r}: {error}") from None

    def _virtual_packages(self) -> list[GenericVirtualPackage]:
        versions = {"__unix": "0"} | dict(self._settings.virtual_packages)
        archspec = _virtual("__archspec", "1", _ARCHITECTURES[self._subdir])
        return [archspec, *(_virtual(name, version) for name, version in versions.items())]

    def _client(self, seconds: int) -> Client:
        return Client.from_config(self._config, max_retries=self._settings.retries, timeout=seconds)


def _config(settings: CondaSettings, proxy: str | None) -> Config:
    # A string of JSON is one of TOML.
    lines = ['tls-root-certs = "system"']  # which heeds SSL_CERT_FILE
    if settings.credentials:
        lines.append(f"authentication-override-file = {json.dumps(str(settings.credentials))}")
    if proxy:
        lines.append(f"proxy-config = {{http = {json.dumps(proxy)}, https = {json.dumps(proxy)}}}")
    return Config.from_toml("\n".join(lines))


def _virtual(name: str, version: str, build: str = "0") -> GenericVirtualPackage:
    return GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))


def _python_of(records: Sequence[RepoDataRecord]) -> str:
    """The version of the environment's Python; raises CondaFailedError for one that cannot serve."""
    version = next(str(record.version) for record in records if record.name.normalized == "python")
    if tuple(map(int, version.split(".")[:2])) < _LEAST_PYTHON:
        least = ".".join(map(str, _LEAST_PYTHON))
        raise CondaFailedError(
            f"the environment has python {version}, and the server beside the driver needs {least} or newer:"
            f" ask for python>={least}"
        )
    return version


def _settle(folder: Path) -> None:
    """Take out what tells of this build, and make byte code valid whatever the files' times will be."""
    (folder / "CACHEDIR.TAG").unlink(missing_ok=True)
    for file in (folder / "conda-meta").glob("*.json"):
        record = json.loads(file.read_bytes())
        kept = {key: value for key, value in record.items() if key not in _MACHINE}
        file.write_text(json.dumps(kept, indent=1, sort_keys=True))
    for file in folder.rglob("*.pyc"):
        make_unchecked(file)


@contextmanager
def _trusting(ca_bundle: Path | None) -> Iterator[None]:
    """Rattler takes the authorities to trust from the process's environment only."""
    if ca_bundle is None:
        yield
        return
    before = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = str(ca_bundle)
    try:
        yield
    finally:
        if before is None:
            del os.environ["SSL_CERT_FILE"]
        else:
            os.environ["SSL_CERT_FILE"] = before
