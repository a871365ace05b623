"""The repository that an image goes to, as a place for layers."""

from __future__ import annotations

from collections.abc import Callable

from modelyard.build.layers.layer import Layer
from modelyard.build.layers.packing import TAR, Packed
from modelyard.build.layers.tar import Tar
from modelyard.build.progress import Meter
from modelyard.build.reference import Reference
from modelyard.build.registry import Descriptor, Registry
from modelyard.build.sizes import human


class Store:
    """Brings layers into one repository, from here or from where they are already."""

    def __init__(
        self, registry: Registry, repository: Reference, log: Callable[[str], None], check: Callable[[], None]
    ) -> None:
        """`check` may end an upload by what it raises."""
        self.repository = repository
        self._registry = registry
        self._log = log
        self._check = check

    def send(self, tar: Tar, holds: str, *, sample: Callable[[], bytes] | None = None) -> Layer:
        """A new layer of what the tar holds. Raises RegistryError, and what the tar's pieces raise."""
        packed = Packed(tar, sample)
        meter = Meter(self._log, holds)

        def progress(done: int) -> None:
            self._check()
            meter.total = tar.size if packed.media_type == TAR else None
            meter.reach(done)

        blob = self._registry.upload(self.repository, packed, progress=progress)
        self._log(f"{holds}: {human(blob.size)} sent")
        return Layer(packed.media_type, blob.digest, blob.size, packed.diff_id(blob.digest), holds)

    def bring(self, layer: Descriptor, source: Reference) -> None:
        """A layer that is in another repository: shared with it, or copied where that is not possible."""
        if self.has(layer["digest"]) or self.mount(layer["digest"], source):
            return
        self._log(f"{layer['digest']}: {human(layer['size'])} copied from {source.registry}")
        self._registry.copy(source, self.repository, layer["digest"], layer["size"])

    def has(self, digest: str) -> bool:
        return self._registry.has_blob(self.repository, digest)

    def mount(self, digest: str, source: Reference) -> bool:
        """False when it is in another registry, or when the registry shares nothing."""
        return source.registry == self.repository.registry and self._registry.mount(
            self.repository, digest, source.repository
        )
