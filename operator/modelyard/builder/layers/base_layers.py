"""The layers of a base image for builds of packages, which have no access to the registry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from modelyard.builder.base_system.system import BaseFiles, BaseLayer
from modelyard.builder.environment.registry_files import OpenFile
from modelyard.builder.environment.target import local_platform
from modelyard.builder.layers.base_image import BaseImage
from modelyard.builder.layers.tar_stream import CHUNK_BYTES
from modelyard.oci import RegistryClient

_DEFAULT_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


class BaseLayers:
    """Opens the layers of one base image."""

    def __init__(self, registry: RegistryClient, base: BaseImage) -> None:
        self._registry = registry
        self._base = base

    @property
    def files(self) -> BaseFiles | None:
        """Return the description of the layers; None if their programs are for another platform."""
        config = self._base.config
        if self._base.platform != local_platform():
            return None
        variables = dict(
            item.partition("=")[::2] for item in (config.get("config") or {}).get("Env") or () if "=" in item
        )
        path = variables.get("PATH", _DEFAULT_PATH)
        return BaseFiles(
            layers=tuple(
                BaseLayer(media_type=layer["mediaType"], digest=layer["digest"])
                for layer in self._base.layers
            ),
            path=tuple(folder for folder in path.split(":") if folder.startswith("/")),
        )

    @contextmanager
    def open(self, digest: str) -> Iterator[OpenFile | None]:
        """Open a layer, or yield None. Raises RegistryError."""
        layer = next((layer for layer in self._base.layers if layer["digest"] == digest), None)
        if layer is None:
            yield None
            return
        size = int(layer["size"])
        with self._registry.open_blob(self._base.reference, digest, size=size) as response:
            yield OpenFile(digest, digest, size, response.iter_raw(CHUNK_BYTES))
