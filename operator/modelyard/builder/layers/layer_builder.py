"""The Layers builder: makes layers in the build Job, and pushes them with an image of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from modelyard.builder.assemble import assemble
from modelyard.builder.attestation.attach import attach
from modelyard.builder.attestation.build_record import build_record
from modelyard.builder.attestation.bundle import Signer
from modelyard.builder.base_system.system import LAYER_HOST, BaseFiles
from modelyard.builder.environment.built_wheel import WHEELS
from modelyard.builder.environment.conda_file import CondaFile
from modelyard.builder.environment.conda_settings import CondaSettings
from modelyard.builder.environment.guarded_installer import GuardedInstaller, LayerInstaller
from modelyard.builder.environment.package_job import PackageJob, PackageKind
from modelyard.builder.environment.pins import Pins
from modelyard.builder.environment.registry_files import WHEEL_HOST, RegistryFiles
from modelyard.builder.environment.target import (
    Target,
    read_target,
)
from modelyard.builder.layers.base_image import (
    BaseImage,
    local_platform,
    read_base_image,
)
from modelyard.builder.layers.base_layers import BaseLayers
from modelyard.builder.layers.cache_keys import (
    conda_key,
    environment_key,
    runtime_key,
)
from modelyard.builder.layers.disk_folder import DiskFile, DiskFolder
from modelyard.builder.layers.image_documents import (
    image_config,
    image_manifest,
)
from modelyard.builder.layers.image_repository import ImageRepository
from modelyard.builder.layers.layer import Layer
from modelyard.builder.layers.layer_cache import (
    CachedLayer,
    LayerCache,
    cache_repository,
)
from modelyard.builder.layers.model_layers import ModelLayer, ModelLayers
from modelyard.builder.layers.tar_stream import tar_of
from modelyard.builder.layers.wheel_cache import WheelCache
from modelyard.builder.layout import ImageContent
from modelyard.builder.log import BuildLog
from modelyard.builder.sources.context import FetchContext
from modelyard.contract.build_request import (
    BuilderKind,
    BuildRequest,
    Step,
)
from modelyard.contract.errors import about
from modelyard.contract.image_layout import APP_ROOT, ENVIRONMENT, RUNTIME
from modelyard.oci import RegistryClient
from modelyard.oci.reference import parse_reference
from modelyard.oci.registry_config import RegistryAccess
from modelyard.task_group import TaskGroup

_RUNTIME_LAYER: Final = "scoring runtime"
_ENVIRONMENT_LAYER: Final = "environment"
_PACKAGES: Final = "packages"
_APP_LAYER: Final = "driver and assets"
_UNSIGNED_ATTESTATIONS: Final = 2  # bill of materials and provenance


@dataclass(frozen=True)
class LayerBuilder:
    """An ImageBuilder that needs no privileges: only a folder, the registry, sources and packages."""

    access: RegistryAccess = field(default_factory=RegistryAccess)
    conda: CondaSettings = field(default_factory=CondaSettings)
    install: LayerInstaller = field(default_factory=GuardedInstaller)
    packages: Path | None = None
    """Folder of the container that installs users' packages; None for the workspace of the build."""
    platform: str = field(default_factory=local_platform)
    """Platform of the image to select from an image index, `linux/amd64` for example."""
    attests: bool = True
    """True to attach the bill of materials and the provenance to images."""
    signer: Signer | None = None
    max_age_seconds: int = 0
    """Age from which a cached environment with unpinned packages is resolved again; 0 for no limit."""

    def publish(self, request: BuildRequest, workspace: Path, context: FetchContext, log: BuildLog) -> str:
        """Build and push the image, and return its digest. See ImageBuilder."""
        with RegistryClient(self.access, log=log.for_step(Step.PUSH).write) as registry, TaskGroup() as tasks:
            return _Build(self, request, workspace, log, registry, tasks).publish(context)


class _Build:
    """The build of one image. Its tasks are independent of each other."""

    def __init__(
        self,
        builder: LayerBuilder,
        request: BuildRequest,
        workspace: Path,
        log: BuildLog,
        registry: RegistryClient,
        tasks: TaskGroup,
    ) -> None:
        self._builder = builder
        self._request = request
        self._workspace = workspace
        self._log = log
        self._registry = registry
        self._tasks = tasks
        push_log = log.for_step(Step.PUSH).write
        repository = parse_reference(request.repository)
        self._image = ImageRepository(registry, repository, push_log, tasks.check)
        cache = ImageRepository(registry, cache_repository(repository), push_log, tasks.check)
        self._cache = LayerCache(
            registry,
            cache=cache,
            image=self._image,
            log=push_log,
            signer=builder.signer,
            max_age_seconds=builder.max_age_seconds,
        )
        self._wheels = WheelCache(self._cache, repository.repository.rpartition("/")[0])
        self._base_files: BaseFiles | None = None
        self._registry_files: RegistryFiles = {WHEEL_HOST: self._wheels.open}

    def publish(self, context: FetchContext) -> str:
        self._log.enter(Step.FETCH)
        models = ModelLayers(
            self._request, context, self._log, image=self._image, cache=self._cache, tasks=self._tasks
        )
        # Models take longest: their streams start before all other work.
        models_to_fetch = models.start_streams()
        base = self._read_base_image()
        base_layers = BaseLayers(self._registry, base)
        self._base_files = base_layers.files
        self._registry_files = {**self._registry_files, LAYER_HOST: base_layers.open}
        target = read_target(self._request.base_python, base.config)
        self._tasks.start(lambda: self._copy_base_layers(base))
        runtime: Future[CachedLayer] | None = None
        if not self._request.conda_env_file:  # a conda environment has its own Python, which is not known yet
            runtime = self._tasks.start(partial(self._runtime_layer, target))
        limits = self._request.limits.model_copy(update={"download_bytes": models.remaining_download_bytes})
        request = self._request.model_copy(update={"limits": limits})
        content = assemble(request, self._workspace, context, self._log, models=models_to_fetch)
        models.start_files(content)
        app = self._tasks.start(lambda: self._image.push_layer(tar_of({APP_ROOT: content.app}), _APP_LAYER))
        self._tasks.start(self._reserve_last_uploads)
        self._log.enter(Step.BUILD)
        environment: CachedLayer | None = None
        if content.conda:
            environment = self._conda_layer(content.conda, content.requirements, target.platform)
            target = Target(_conda_python(environment), target.platform)
        elif content.requirements is not None:
            environment = self._environment_layer(target, content.requirements)
        runtime = runtime or self._tasks.start(partial(self._runtime_layer, target))
        self._log.enter(Step.PUSH)
        self._tasks.join()
        package_layers = [runtime.result(), *([environment] if environment else [])]
        return self._push_image(base, content, package_layers, app.result(), models.results())

    def _push_image(
        self,
        base: BaseImage,
        content: ImageContent,
        package_layers: Sequence[CachedLayer],
        app: Layer,
        models: Mapping[str, ModelLayer],
    ) -> str:
        """Push config, attestations and manifest of the image, and return its digest.

        The manifest is pushed last, so that an image with the tag always has its attestations.
        """
        layers = [
            *(cached.layer for cached in package_layers),
            app,
            *(model.layer for model in models.values()),
        ]
        config = image_config(base, layers, content.variables, self._request.labels)
        manifest = image_manifest(base, layers, config)
        repository = self._image.repository
        self._tasks.start(lambda: self._registry.upload_bytes(repository, config.body))
        if self._builder.attests:
            record = build_record(
                self._request,
                builder=BuilderKind.LAYERS,
                base_digest=base.reference.version,
                digests={
                    **content.digests,
                    **{subject: model.digest for subject, model in models.items()},
                },
                packages=tuple(package for cached in package_layers for package in cached.packages),
            )
            attach(self._registry, repository, manifest.descriptor, record, self._builder.signer)
        self._tasks.join()
        return self._registry.put_manifest(
            repository, manifest.body, manifest.media_type, tag=self._request.tag
        )

    def _read_base_image(self) -> BaseImage:
        with about("base image", Step.BUILD):
            return read_base_image(self._registry, self._request.base_image, self._builder.platform)

    def _copy_base_layers(self, base: BaseImage) -> None:
        with about("base image"):
            for layer in base.layers:
                self._tasks.check()
                self._image.copy_blob(layer, base.reference)

    def _reserve_last_uploads(self) -> None:
        """Start the uploads of config and attestations early: at the end, nothing else runs beside them."""
        count = 1 + (_UNSIGNED_ATTESTATIONS if self._builder.attests else 0)
        self._registry.reserve_uploads(self._image.repository, count)

    def _runtime_layer(self, target: Target) -> CachedLayer:
        job = self._job(PackageKind.RUNTIME, runtime_key(target), target.platform, target.python)
        return self._cached_layer(job, _RUNTIME_LAYER, RUNTIME, self._log.for_step(Step.BUILD))

    def _environment_layer(self, target: Target, requirements: str) -> CachedLayer:
        key = environment_key(requirements, target, self._request.registrations)
        job = self._job(PackageKind.PIP, key, target.platform, target.python)
        job = job.model_copy(update={"requirements": requirements})
        return self._cached_layer(job, _ENVIRONMENT_LAYER, ENVIRONMENT, self._log, Pins(requirements))

    def _conda_layer(self, file: CondaFile, requirements: str | None, platform: str) -> CachedLayer:
        request, settings = self._request, self._builder.conda
        key = conda_key(file, requirements, request.python_version, platform, settings, request.registrations)
        job = self._job(PackageKind.CONDA, key, platform, request.python_version)
        job = job.model_copy(update={"requirements": requirements, "conda": file})
        pins = Pins(requirements or "", file.dependencies)
        return self._cached_layer(job, _ENVIRONMENT_LAYER, ENVIRONMENT, self._log, pins)

    def _job(self, kind: PackageKind, key: str, platform: str, python: str | None) -> PackageJob:
        """Return a job whose folder has the key of the layer as the name of its parent."""
        is_users = kind is not PackageKind.RUNTIME
        base = self._builder.packages if is_users and self._builder.packages else self._workspace
        return PackageJob(
            kind=kind,
            folder=base / key / _PACKAGES,
            platform=platform,
            python=python,
            base=self._base_files if is_users else None,
        )

    def _cached_layer(
        self, job: PackageJob, created_by: str, path: str, log: BuildLog, pins: Pins | None = None
    ) -> CachedLayer:
        """Return a layer with packages at `path`, from the cache, or installed, pushed and cached."""
        base, key = job.folder.parents[1], job.folder.parent.name
        with about(created_by):
            cached = self._cache.get(key, pins)
            if cached:
                return cached
            is_runtime = job.kind is PackageKind.RUNTIME
            installed = self._builder.install(job, log, None if is_runtime else self._registry_files)
            # Users' packages may have run code in the folder: it is read without following a link.
            folder = DiskFolder(base, f"{key}/{_PACKAGES}")
            layer = self._image.push_layer(tar_of({path: folder}), created_by)
            new = CachedLayer(layer, installed.packages)
            for wheel in installed.wheels:
                file = DiskFolder(base, f"{key}/{WHEELS}").entry(wheel.path.name)
                if isinstance(file, DiskFile):
                    self._tasks.start(partial(self._wheels.put, wheel, file))
        self._tasks.start(lambda: self._cache.put(key, new))
        return new


def _conda_python(environment: CachedLayer) -> str:
    """Return the version of the Python in a conda environment."""
    return next(
        package.version
        for package in environment.packages
        if (package.ecosystem, package.name) == ("conda", "python")
    )
