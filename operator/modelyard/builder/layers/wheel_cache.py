"""The cache of wheels that builds made from source distributions, in the repository of cached layers.

The key is the hash of the source and of all other inputs, see source_installer.py. The code of a source
distribution chooses the content of its wheel, so a wheel is for the builds of its namespace only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

from modelyard.builder.environment.built_wheel import BuiltWheel
from modelyard.builder.environment.registry_files import OpenFile
from modelyard.builder.layers.layer import Layer
from modelyard.builder.layers.layer_cache import LayerCache
from modelyard.oci.errors import RegistryError
from modelyard.streams.readable import ReadableAt

_MEDIA_TYPE: Final = "application/vnd.modelyard.wheel"


class WheelCache:
    """Wheels of one namespace. The cache is optional: an error of the registry is a cache miss."""

    def __init__(self, layers: LayerCache, owner: str) -> None:
        """`owner` is the registry path of the namespace."""
        self._layers = layers
        self._owner = owner

    @contextmanager
    def open(self, key: str) -> Iterator[OpenFile | None]:
        """Open the wheel with a key, or yield None."""
        with ExitStack() as stack:
            wheel = None
            with suppress(
                RegistryError
            ):  # later errors end the connection of the reader, which checks the digest
                layer = self._layers.find(self._tag(key))
                if layer is not None and layer.media_type == _MEDIA_TYPE:
                    chunks = stack.enter_context(self._layers.open_blob(layer))
                    wheel = OpenFile(layer.created_by, layer.digest, layer.size, chunks)
            yield wheel

    def put(self, wheel: BuiltWheel, content: ReadableAt) -> None:
        """Add a new wheel. An error of the registry is only logged."""
        layer = Layer(_MEDIA_TYPE, wheel.digest, wheel.size, wheel.digest, wheel.path.name)
        self._layers.put_file(self._tag(wheel.key), layer, content)

    def _tag(self, key: str) -> str:
        return hashlib.sha256(json.dumps(["wheel", self._owner, key]).encode()).hexdigest()
