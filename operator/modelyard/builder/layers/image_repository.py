"""The repository that an image goes to, as a place for layers."""

from __future__ import annotations

from collections.abc import Callable

from modelyard.builder.layers.compression import Packed
from modelyard.builder.layers.layer import Layer
from modelyard.builder.layers.tar_stream import Tar
from modelyard.contract.build_progress import ProgressMeter
from modelyard.contract.errors import DigestMismatchError
from modelyard.oci import (
    Descriptor,
    RegistryClient,
)
from modelyard.oci.errors import BlobDigestMismatchError
from modelyard.oci.reference import Reference
from modelyard.sizes import human


class Store:
    """Brings layers into one repository, from here or from where they are already."""

    def __init__(
        self,
        registry: RegistryClient,
        repository: Reference,
        log: Callable[[str], None],
        check: Callable[[], None],
    ) -> None:
        """`check` may end an upload by what it raises."""
        self.repository = repository
        self._registry = registry
        self._log = log
        self._check = check

    def send(self, tar: Tar, holds: str, *, sample: Callable[[], bytes] | None = None) -> Layer:
        """A new layer of what the tar holds. Raises RegistryError, and what the tar's pieces raise."""
        packed = Packed(tar, sample)
        progress = self._progress(holds, lambda: packed.size)
        blob = self._registry.upload(self.repository, packed, progress=progress)
        self._log(f"{holds}: {human(blob.size)} sent")
        return Layer(packed.media_type, blob.digest, blob.size, packed.diff_id(blob.digest), holds)

    def bring(self, layer: Descriptor, source: Reference) -> None:
        """A layer that is in another repository: shared with it, or copied where that is not possible."""
        if self.share(layer, source):
            return
        digest, size = layer["digest"], layer["size"]
        what = f"layer {digest.removeprefix('sha256:')[:12]} of {source.repository}"
        try:
            self._registry.copy_blob(
                source, self.repository, digest, size, self._progress(what, lambda: size)
            )
        except BlobDigestMismatchError as error:
            raise DigestMismatchError(error.message) from None
        self._log(f"{what}: {human(size)} copied")

    def share(self, layer: Descriptor, source: Reference) -> bool:
        """Without a byte sent; False when it is in another registry, or when the registry shares nothing."""
        return self.has(layer) or self.mount(layer, source)

    def has(self, layer: Descriptor) -> bool:
        return self._registry.has_blob(self.repository, layer["digest"])

    def mount(self, layer: Descriptor, source: Reference) -> bool:
        """Whether the registry shares a layer between its repositories; it need not be new here."""
        near = source.registry == self.repository.registry
        return near and self._registry.mount_blob(self.repository, layer["digest"], source.repository)

    def _progress(self, what: str, total: Callable[[], int | None]) -> Callable[[int], None]:
        """`total` is known when the first bytes are through."""
        meter = ProgressMeter(self._log, what)

        def progress(done: int) -> None:
            self._check()
            meter.total = total()
            meter.update(done)

        return progress
