"""The builder that needs no daemon: it makes the layers and leaves them, and the image of them, in the registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from modelyard.build.assemble import assemble
from modelyard.build.environment.packages import packages
from modelyard.build.environment.pip import install, runtime_tree
from modelyard.build.environment.settings import PipSettings
from modelyard.build.environment.target import Target, target_of
from modelyard.build.errors import about
from modelyard.build.fetch import FetchContext
from modelyard.build.layers.base import Base, read_base, this_platform
from modelyard.build.layers.cache import REPOSITORY, Kept, LayerCache
from modelyard.build.layers.crew import Crew
from modelyard.build.layers.image import image_config, image_manifest
from modelyard.build.layers.keys import environment_key, runtime_key
from modelyard.build.layers.labels import labels_of
from modelyard.build.layers.models import ModelLayers
from modelyard.build.layers.store import Store
from modelyard.build.layers.tar import tar_of
from modelyard.build.layout import APP_ROOT, ENVIRONMENT, RUNTIME, ImageContent
from modelyard.build.log import BuildLog
from modelyard.build.reference import Reference, parse_reference
from modelyard.build.registry import Registry
from modelyard.build.request import BuildRequest, Step

_RUNTIME_SUBJECT: Final = "scoring runtime"
_ENVIRONMENT_SUBJECT: Final = "environment"


@dataclass(frozen=True)
class LayerBuilder:
    """Needs no privilege: a folder to work in, the registry, and where the sources and packages are."""

    access: RegistryAccess = field(default_factory=RegistryAccess)
    packages: PipSettings = field(default_factory=PipSettings)
    platform: str = field(default_factory=this_platform)
    """Which image of a base that is an index of several: `linux/amd64`."""

    def publish(self, request: BuildRequest, workspace: Path, context: FetchContext, log: BuildLog) -> str:
        """See Builder."""
        with Registry(self.access, log=log.at(Step.PUSH)) as registry, Crew() as crew:
            return _Build(self, request, workspace, context, log, registry, crew).publish()


class _Build:
    """One image."""

    def __init__(
        self,
        builder: LayerBuilder,
        request: BuildRequest,
        workspace: Path,
        context: FetchContext,
        log: BuildLog,
        registry: Registry,
        crew: Crew,
    ) -> None:
        self._builder = builder
        self._request = request
        self._workspace = workspace
        self._context = context
        self._log = log
        self._registry = registry
        self._crew = crew
        self._image = self._store(parse_reference(request.repository))
        models, shared = caches_of(self._image.repository)
        self._shared = self._cache(shared)
        self._models = ModelLayers(
            request, context, log, image=self._image, cache=self._cache(models), crew=crew
        )

    def publish(self) -> str:
        log, request = self._log, self._request
        log.enter(Step.FETCH)
        base = self._base()
        target = target_of(request.base_python, base.config)
        self._crew.start(lambda: self._bring(base))
        runtime = self._crew.start(lambda: self._runtime(target))
        content = self._content()
        app = self._crew.start(lambda: self._image.send(tar_of({APP_ROOT: content.app}), "driver and assets"))
        log.enter(Step.BUILD)
        environment = self._environment(target, content.requirements)
        log.enter(Step.PUSH)
        self._crew.join()
        ...
