"""The builder that needs no daemon: layers are made here, and left in the registry with an image of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from modelyard.builder.assemble import assemble
from modelyard.builder.attestation.attach import attach
from modelyard.builder.attestation.build_record import build_record
from modelyard.builder.attestation.bundle import Signer
from modelyard.builder.environment.conda_file import CondaFile
from modelyard.builder.environment.conda_settings import CondaSettings
from modelyard.builder.environment.packages import (
    Package,
    find_packages,
)
from modelyard.builder.environment.pip import (
    install_requirements,
    install_runtime,
)
from modelyard.builder.environment.pip_settings import PipSettings
from modelyard.builder.environment.reproducible_tree import compile_bytecode
from modelyard.builder.environment.target import (
    Target,
    read_target,
)
from modelyard.builder.layers.base_image import (
    Base,
    read_base,
    this_platform,
)
from modelyard.builder.layers.cache_keys import (
    conda_key,
    environment_key,
    runtime_key,
)
from modelyard.builder.layers.image_documents import (
    image_config,
    image_manifest,
)
from modelyard.builder.layers.image_repository import Store
from modelyard.builder.layers.layer_cache import (
    Kept,
    LayerCache,
    cache_of,
)
from modelyard.builder.layers.model_layers import ModelLayers
from modelyard.builder.layers.tar_stream import tar_of
from modelyard.builder.log import BuildLog
from modelyard.builder.sources import FetchContext
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

_RUNTIME: Final = "scoring runtime"
_ENVIRONMENT: Final = "environment"
_APP: Final = "driver and assets"
_DOCUMENTS: Final = 2  # without a key: bill of materials, provenance


@dataclass(frozen=True)
class LayerBuilder:
    """Needs no privilege: a folder to work in, the registry, and where sources and packages are."""

    access: RegistryAccess = field(default_factory=RegistryAccess)
    pip: PipSettings = field(default_factory=PipSettings)
    conda: CondaSettings = field(default_factory=CondaSettings)
    platform: str = field(default_factory=this_platform)
    """Of which image of a base that is an index: `linux/amd64`."""
    attests: bool = True
    """Whether bill of materials and provenance are attached to images."""
    signer: Signer | None = None

    def publish(self, request: BuildRequest, workspace: Path, context: FetchContext, log: BuildLog) -> str:
        """See ImageBuilder."""
        with RegistryClient(self.access, log=log.for_step(Step.PUSH).write) as registry, TaskGroup() as tasks:
            return _Build(self, request, workspace, log, registry, tasks).publish(context)


class _Build:
    """One image: what goes on in the tasks is independent of everything else."""

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
        say = log.for_step(Step.PUSH).write
        repository = parse_reference(request.repository)
        self._image = Store(registry, repository, say, tasks.check)
        self._cache = LayerCache(
            registry, Store(registry, cache_of(repository), say, tasks.check), self._image, say
        )

    def publish(self, context: FetchContext) -> str:
        """The digest of the image."""
        self._log.enter(Step.FETCH)
        models = ModelLayers(
            self._request, context, self._log, image=self._image, cache=self._cache, tasks=self._tasks
        )
        to_fetch = models.begin()  # first and alone: they take longest, and the rest would only hold them up
        base = self._base()
        target = read_target(self._request.base_python, base.config)
        self._tasks.start(lambda: self._bring(base))
        # A conda environment brings its own Python, and the runtime is for that one.
        early = None if self._request.conda_env_file else self._tasks.start(lambda: self._runtime(target))
        limits = self._request.limits.model_copy(update={"download_bytes": models.left_bytes})
        request = self._request.model_copy(update={"limits": limits})
        content = assemble(request, self._workspace, context, self._log, models=to_fetch)
        models.take(content)
        app = self._tasks.start(lambda: self._image.send(tar_of({APP_ROOT: content.app}), _APP))
        # For the configuration and what is attached, for which everything waits at the end.
        last_blobs = 1 + (_DOCUMENTS if self._builder.attests else 0)
        self._tasks.start(lambda: self._registry.reserve_uploads(self._image.repository, last_blobs))
        self._log.enter(Step.BUILD)
        if content.conda:
            environment = [self._conda(content.conda, content.requirements, target.platform)]
            target = Target(_python_of(environment[0]), target.platform)
        else:
            environment = self._environment(target, content.requirements)
        runtime = early or self._tasks.start(lambda: self._runtime(target))
        self._log.enter(Step.PUSH)
        self._tasks.join()
        made = models.made()
        shared = [runtime.result(), *environment]
        layers = [*(kept.layer for kept in shared), app.result(), *(model.layer for model in made.values())]
        config = image_config(base, layers, content.variables, self._request.labels)
        manifest = image_manifest(base, layers, config)
        self._tasks.start(lambda: self._registry.upload_bytes(self._image.repository, config.body))
        if self._builder.attests:
            record = build_record(
                self._request,
                builder=BuilderKind.LAYERS,
                base_digest=base.reference.version,
                digests={**content.digests, **{subject: model.digest for subject, model in made.items()}},
                packages=tuple(Package(**package) for kept in shared for package in kept.facts["packages"]),
            )
            attach(self._registry, self._image.repository, manifest.descriptor, record, self._builder.signer)
        self._tasks.join()
        return self._registry.put_manifest(
            self._image.repository, manifest.body, manifest.media_type, tag=self._request.tag
        )

    def _base(self) -> Base:
        with about("base image", Step.BUILD):
            return read_base(self._registry, self._request.base_image, self._builder.platform)

    def _bring(self, base: Base) -> None:
        with about("base image"):
            for layer in base.layers:
                self._tasks.check()
                self._image.bring(layer, base.reference)

    def _runtime(self, target: Target) -> Kept:
        def make(folder: Path) -> None:
            install_runtime(target, folder, self._builder.pip, self._log.for_step(Step.BUILD))

        return self._shared(runtime_key(target), _RUNTIME, RUNTIME, make)

    def _environment(self, target: Target, requirements: str | None) -> list[Kept]:
        if requirements is None:
            return []

        def make(folder: Path) -> None:
            install_requirements(requirements, target, folder, self._builder.pip, self._log)

        key = environment_key(requirements, target, self._request.registrations)
        return [self._shared(key, _ENVIRONMENT, ENVIRONMENT, make)]

    def _conda(self, file: CondaFile, requirements: str | None, platform: str) -> Kept:
        request, settings = self._request, self._builder.conda

        def make(folder: Path) -> None:
            # rattler is large, and few builds need it.
            from modelyard.builder.environment.conda import CondaTarget, install_conda  # noqa: PLC0415

            python = install_conda(
                file, CondaTarget(platform, request.python_version), folder, settings, self._log
            )
            target = Target(python, platform)
            if requirements:
                install_requirements(requirements, target, folder, self._builder.pip, self._log)
            else:
                compile_bytecode(folder, ENVIRONMENT, target, self._log)

        key = conda_key(file, requirements, request.python_version, platform, settings, request.registrations)
        return self._shared(key, _ENVIRONMENT, ENVIRONMENT, make)

    def _shared(self, key: str, holds: str, path: str, make: Callable[[Path], None]) -> Kept:
        """A layer with packages, from the cache or made and left there."""
        with about(holds):
            kept = self._cache.take(key)
            if kept:
                return kept
            folder = self._workspace / key
            make(folder)
            layer = self._image.send(tar_of({path: folder}), holds)
            kept = Kept(layer, {"packages": [asdict(package) for package in find_packages(folder)]})
        self._tasks.start(lambda: self._cache.keep(key, kept))
        return kept


def _python_of(environment: Kept) -> str:
    """The version of the Python that a conda environment has."""
    found = (Package(**package) for package in environment.facts["packages"])
    return next(
        package.version for package in found if (package.ecosystem, package.name) == ("conda", "python")
    )
