"""The layers of an image that depend on its platform: base image, scoring runtime and environment.

Models, driver and assets are the same for all platforms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from modelyard.builder.base_system.system import LAYER_HOST
from modelyard.builder.environment.built_wheel import WHEELS
from modelyard.builder.environment.conda_file import CondaFile
from modelyard.builder.environment.conda_settings import CondaSettings
from modelyard.builder.environment.guarded_installer import LayerInstaller
from modelyard.builder.environment.package_job import PackageJob, PackageKind
from modelyard.builder.environment.pins import Pins
from modelyard.builder.environment.registry_files import WHEEL_HOST, RegistryFiles
from modelyard.builder.environment.target import Target, read_target
from modelyard.builder.layers.base_image import BaseImage
from modelyard.builder.layers.base_layers import BaseLayers
from modelyard.builder.layers.cache_keys import conda_key, environment_key, runtime_key
from modelyard.builder.layers.disk_folder import DiskFile, DiskFolder
from modelyard.builder.layers.image_repository import ImageRepository
from modelyard.builder.layers.layer_cache import CachedLayer, LayerCache
from modelyard.builder.layers.tar_stream import tar_of
from modelyard.builder.layers.wheel_cache import WheelCache
from modelyard.builder.layout import ImageContent
from modelyard.builder.log import BuildLog
from modelyard.contract.build_request import BuildRequest, Step
from modelyard.contract.errors import (
    CondaFailedError,
    PackageError,
    WheelMissingError,
    about,
)
from modelyard.contract.image_layout import ENVIRONMENT, RUNTIME
from modelyard.task_group import TaskGroup

_RUNTIME_LAYER: Final = "scoring runtime"
_ENVIRONMENT_LAYER: Final = "environment"
_PACKAGES: Final = "packages"
_MISSING: Final = (CondaFailedError, WheelMissingError)
"""Errors that one platform may have and another may not."""


@dataclass(frozen=True)
class LayerTools:
    """The request, the folders and the caches that all platforms of a build share."""

    request: BuildRequest
    conda: CondaSettings
    install: LayerInstaller
    workspace: Path
    packages: Path | None
    """Folder of the container that installs users' packages; None for the workspace of the build."""
    image: ImageRepository
    cache: LayerCache
    wheels: WheelCache
    tasks: TaskGroup
    log: BuildLog


class PlatformLayers:
    """The layers of one platform."""

    def __init__(self, base: BaseImage, base_layers: BaseLayers, tools: LayerTools) -> None:
        """Raise BaseImageUnfitError, see read_target."""
        self.base = base
        self._tools = tools
        self._target = read_target(tools.request.base_python, base.config)
        self._base_files = base_layers.files
        self._registry_files: RegistryFiles = {WHEEL_HOST: tools.wheels.open, LAYER_HOST: base_layers.open}
        self._runtime: Future[CachedLayer] | None = None
        self._environment: CachedLayer | None = None

    def start(self) -> None:
        """Start the layers that need no file of a user."""
        self._tools.tasks.start(self._copy_base_layers)
        if not self._tools.request.conda_env_file:  # its Python is the environment's, not known yet
            self._start_runtime(self._target)

    def install(self, content: ImageContent) -> None:
        """Make the layer with the environment."""
        target = self._target
        if content.conda:
            self._environment = self._conda_layer(content.conda, content.requirements)
            target = Target(_conda_python(self._environment), target.platform)
        elif content.requirements is not None:
            self._environment = self._environment_layer(content.requirements)
        if self._runtime is None:
            self._start_runtime(target)

    def results(self) -> Sequence[CachedLayer]:
        """Wait for the layers with packages, and return them in their order in the image."""
        runtime = [self._runtime.result()] if self._runtime else []
        return [*runtime, *([self._environment] if self._environment else [])]

    def _copy_base_layers(self) -> None:
        with about("base image"):
            for layer in self.base.layers:
                self._tools.tasks.check()
                self._tools.image.copy_blob(layer, self.base.reference)

    def _start_runtime(self, target: Target) -> None:
        self._runtime = self._tools.tasks.start(partial(self._runtime_layer, target))

    def _runtime_layer(self, target: Target) -> CachedLayer:
        job = self._job(PackageKind.RUNTIME, runtime_key(target), target.python)
        return self._cached_layer(job, _RUNTIME_LAYER, RUNTIME, self._tools.log.for_step(Step.BUILD))

    def _environment_layer(self, requirements: str) -> CachedLayer:
        key = environment_key(requirements, self._target, self._tools.request.registrations)
        job = self._job(PackageKind.PIP, key, self._target.python)
        job = job.model_copy(update={"requirements": requirements})
        return self._cached_layer(job, _ENVIRONMENT_LAYER, ENVIRONMENT, self._tools.log, Pins(requirements))

    def _conda_layer(self, file: CondaFile, requirements: str | None) -> CachedLayer:
        request, settings, platform = self._tools.request, self._tools.conda, self._target.platform
        key = conda_key(file, requirements, request.python_version, platform, settings, request.registrations)
        job = self._job(PackageKind.CONDA, key, request.python_version)
        job = job.model_copy(update={"requirements": requirements, "conda": file})
        pins = Pins(requirements or "", file.dependencies)
        return self._cached_layer(job, _ENVIRONMENT_LAYER, ENVIRONMENT, self._tools.log, pins)

    def _job(self, kind: PackageKind, key: str, python: str | None) -> PackageJob:
        """Return a job whose folder has the key of the layer as the name of its parent."""
        is_users = kind is not PackageKind.RUNTIME
        folder = self._tools.packages if is_users and self._tools.packages else self._tools.workspace
        return PackageJob(
            kind=kind,
            folder=folder / key / _PACKAGES,
            platform=self._target.platform,
            python=python,
            base=self._base_files if is_users else None,
        )

    def _cached_layer(
        self, job: PackageJob, created_by: str, path: str, log: BuildLog, pins: Pins | None = None
    ) -> CachedLayer:
        """Return a layer with packages at `path`, from the cache, or installed, pushed and cached."""
        base, key = job.folder.parents[1], job.folder.parent.name
        tools = self._tools
        with about(created_by), self._platform_in_errors():
            cached = tools.cache.get(key, pins)
            if cached:
                return cached
            is_runtime = job.kind is PackageKind.RUNTIME
            installed = tools.install(job, log, None if is_runtime else self._registry_files)
            # Users' packages may have run code in the folder: it is read without following a link.
            folder = DiskFolder(base, f"{key}/{_PACKAGES}")
            layer = tools.image.push_layer(tar_of({path: folder}), created_by)
            new = CachedLayer(layer, installed.packages)
            for wheel in installed.wheels:
                file = DiskFolder(base, f"{key}/{WHEELS}").entry(wheel.path.name)
                if isinstance(file, DiskFile):
                    tools.tasks.start(partial(tools.wheels.put, wheel, file))
        tools.tasks.start(lambda: tools.cache.put(key, new))
        return new

    @contextmanager
    def _platform_in_errors(self) -> Iterator[None]:
        """Add the platform to errors of packages, if the chart names platforms."""
        try:
            yield
        except PackageError as error:
            if self._tools.request.platforms:
                platform = self._target.platform
                error.message = f"for {platform}: {error.message}"
                if isinstance(error, _MISSING):
                    error.message += f", or remove {platform} from build.platforms of the chart"
            raise


def _conda_python(environment: CachedLayer) -> str:
    """Return the version of the Python in a conda environment."""
    return next(
        package.version
        for package in environment.packages
        if (package.ecosystem, package.name) == ("conda", "python")
    )
