"""The Layers builder: makes layers in the build Job, and pushes them with an image of them.

If the request names several platforms, there is one image for each of them, and an image index has the tag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from modelyard.builder.assemble import assemble
from modelyard.builder.attestation.attach import attach
from modelyard.builder.attestation.build_record import build_record
from modelyard.builder.attestation.bundle import Signer
from modelyard.builder.environment.conda_settings import CondaSettings
from modelyard.builder.environment.guarded_installer import GuardedInstaller, LayerInstaller
from modelyard.builder.environment.packages import Package
from modelyard.builder.environment.target import local_platform
from modelyard.builder.layers.base_image import BaseImages, read_base_images
from modelyard.builder.layers.base_layers import BaseLayers
from modelyard.builder.layers.image_documents import (
    Document,
    image_config,
    image_index,
    image_manifest,
)
from modelyard.builder.layers.image_repository import ImageRepository
from modelyard.builder.layers.layer import Layer
from modelyard.builder.layers.layer_cache import (
    LayerCache,
    cache_repository,
)
from modelyard.builder.layers.model_layers import ModelLayer, ModelLayers
from modelyard.builder.layers.platform_layers import LayerTools, PlatformLayers
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
from modelyard.contract.image_layout import APP_ROOT
from modelyard.oci import RegistryClient
from modelyard.oci.reference import parse_reference
from modelyard.oci.registry_config import RegistryAccess
from modelyard.task_group import TaskGroup

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
    """Platform of the image for a request without platforms, `linux/amd64` for example."""
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
        self._tools = LayerTools(
            request=request,
            conda=builder.conda,
            install=builder.install,
            workspace=workspace,
            packages=builder.packages,
            image=self._image,
            cache=self._cache,
            wheels=WheelCache(self._cache, repository.repository.rpartition("/")[0]),
            tasks=tasks,
            log=log,
        )

    def publish(self, context: FetchContext) -> str:
        self._log.enter(Step.FETCH)
        models = ModelLayers(
            self._request, context, self._log, image=self._image, cache=self._cache, tasks=self._tasks
        )
        # Models take longest: their streams start before all other work.
        models_to_fetch = models.start_streams()
        bases = self._read_base_images()
        platforms = [
            PlatformLayers(base, BaseLayers(self._registry, base), self._tools) for base in bases.images
        ]
        for platform in platforms:
            platform.start()
        limits = self._request.limits.model_copy(update={"download_bytes": models.remaining_download_bytes})
        request = self._request.model_copy(update={"limits": limits})
        content = assemble(request, self._workspace, context, self._log, models=models_to_fetch)
        models.start_files(content)
        app = self._tasks.start(lambda: self._image.push_layer(tar_of({APP_ROOT: content.app}), _APP_LAYER))
        self._tasks.start(partial(self._reserve_last_uploads, len(platforms)))
        self._log.enter(Step.BUILD)
        for platform in platforms:  # one after the other: the pod's memory limit has room for one
            platform.install(content)
        self._log.enter(Step.PUSH)
        self._tasks.join()
        return self._push(bases, platforms, content, app.result(), models.results())

    def _push(
        self,
        bases: BaseImages,
        platforms: Sequence[PlatformLayers],
        content: ImageContent,
        app: Layer,
        models: Mapping[str, ModelLayer],
    ) -> str:
        """Push the image of each platform and their index, and return the digest of the document with a tag.

        Its manifest is pushed last, so that an image with the tag always has its attestations.
        """
        digests = {**content.digests, **{subject: model.digest for subject, model in models.items()}}
        images: list[Document] = []
        packages: list[Package] = []
        for platform in platforms:
            installed = platform.results()
            shared = [app, *(model.layer for model in models.values())]
            layers = [*(cached.layer for cached in installed), *shared]
            config = image_config(platform.base, layers, content.variables, self._request.labels)
            self._tasks.start(partial(self._registry.upload_bytes, self._image.repository, config.body))
            image = image_manifest(platform.base, layers, config)
            found = [package for cached in installed for package in cached.packages]
            self._attest(image, platform.base.reference.version, digests, found)
            images.append(image)
            packages += found
        if len(images) == 1:
            self._tasks.join()
            return self._put(images[0], self._request.tag)
        index = image_index(bases, images)
        self._attest(index, bases.reference.version, digests, packages)
        self._tasks.join()
        for image in images:  # a registry may refuse an index whose images it does not have
            self._put(image, None)
        return self._put(index, self._request.tag)

    def _attest(
        self, image: Document, base_digest: str, digests: Mapping[str, str], packages: Sequence[Package]
    ) -> None:
        """Start to attach the attestations of an image or of an index."""
        if not self._builder.attests:
            return
        record = build_record(
            self._request,
            builder=BuilderKind.LAYERS,
            base_digest=base_digest,
            digests=digests,
            packages=tuple(packages),
        )
        signer, repository = self._builder.signer, self._image.repository
        self._tasks.start(partial(attach, self._registry, repository, image.descriptor, record, signer))

    def _put(self, document: Document, tag: str | None) -> str:
        return self._registry.put_manifest(
            self._image.repository, document.body, document.media_type, tag=tag
        )

    def _read_base_images(self) -> BaseImages:
        request = self._request
        with about("base image", Step.BUILD):
            return read_base_images(
                self._registry, request.base_image, request.platforms, self._builder.platform
            )

    def _reserve_last_uploads(self, images: int) -> None:
        """Start the uploads of configs and attestations early: at the end, nothing else runs beside them."""
        documents = images if images == 1 else images + 1  # with the index
        attestations = _UNSIGNED_ATTESTATIONS * documents if self._builder.attests else 0
        self._registry.reserve_uploads(self._image.repository, images + attestations)
