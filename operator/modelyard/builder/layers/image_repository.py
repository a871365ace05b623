"""The repository that receives the layers of an image."""

from __future__ import annotations

from collections.abc import Callable

from modelyard.builder.layers.layer import Layer
from modelyard.builder.layers.layer_blob import LayerBlob
from modelyard.builder.layers.tar_stream import TarStream
from modelyard.contract.build_progress import ProgressMeter
from modelyard.contract.errors import DigestMismatchError
from modelyard.oci import (
    Descriptor,
    RegistryClient,
)
from modelyard.oci.errors import BlobDigestMismatchError
from modelyard.oci.reference import Reference
from modelyard.sizes import human


class ImageRepository:
    """Transfers layers into one repository: new layers, and layers of other repositories."""

    def __init__(
        self,
        registry: RegistryClient,
        repository: Reference,
        log: Callable[[str], None],
        check: Callable[[], None],
    ) -> None:
        """`check` is called for each chunk that is sent. It cancels an upload by an exception."""
        self.repository = repository
        self._registry = registry
        self._log = log
        self._check = check

    def push_layer(
        self, tar: TarStream, created_by: str, *, sample: Callable[[], bytes] | None = None
    ) -> Layer:
        """Push a tar as a layer, compressed if `sample`, by default a part of the tar, is compressible.

        Raises RegistryError, and the errors of the files in the tar.
        """
        layer_blob = LayerBlob(tar, sample)
        progress = self._progress(created_by, lambda: layer_blob.size)
        blob = self._registry.upload(self.repository, layer_blob, progress=progress)
        self._log(f"{created_by}: {human(blob.size)} sent")
        diff_id = layer_blob.diff_id(blob.digest)
        return Layer(layer_blob.media_type, blob.digest, blob.size, diff_id, created_by)

    def copy_blob(self, layer: Descriptor, source: Reference) -> None:
        """Mount a layer of another repository, or copy it if a mount is not possible.

        Raises RegistryError, and DigestMismatchError if the copied bytes do not have the digest.
        """
        if self.has_blob(layer) or self.mount_blob(layer, source):
            return
        digest, size = layer["digest"], layer["size"]
        name = f"layer {digest.removeprefix('sha256:')[:12]} of {source.repository}"
        progress = self._progress(name, lambda: size)
        try:
            self._registry.copy_blob(source, self.repository, digest, size, progress)
        except BlobDigestMismatchError as error:
            raise DigestMismatchError(error.message) from None
        self._log(f"{name}: {human(size)} copied")

    def has_blob(self, layer: Descriptor) -> bool:
        """Return whether the repository has a layer. Raises RegistryError."""
        return self._registry.has_blob(self.repository, layer["digest"])

    def mount_blob(self, layer: Descriptor, source: Reference) -> bool:
        """Mount a layer of another repository, which sends no bytes.

        Returns False if the layer is in another registry, or if the registry refuses. Raises RegistryError.
        """
        if source.registry != self.repository.registry:
            return False
        return self._registry.mount_blob(self.repository, layer["digest"], source.repository)

    def _progress(self, name: str, total: Callable[[], int | None]) -> Callable[[int], None]:
        """Return a callback that logs progress. `total` is called after the first chunk only."""
        meter = ProgressMeter(self._log, name)

        def progress(sent_bytes: int) -> None:
            self._check()
            meter.total = total()
            meter.update(sent_bytes)

        return progress
