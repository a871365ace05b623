"""The cache of layers in the registry: one image per layer, whose tag is the hash of the layer's inputs.

The entries are images, because every registry accepts images, and because the registry's garbage collection
retains their blobs. All entries are in one repository, see LAYER_CACHE_REPOSITORY.

With a signing key, an entry has a signature over its key and its layer. So a client that may push to the
registry cannot make builds use a layer of its own.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from modelyard.builder.attestation.bundle import Signer
from modelyard.builder.environment.packages import Package, PackageSource
from modelyard.builder.environment.pins import Pins
from modelyard.builder.layers.image_documents import (
    CONFIG_TYPE,
    Document,
)
from modelyard.builder.layers.image_repository import ImageRepository
from modelyard.builder.layers.layer import Layer
from modelyard.builder.layers.tar_stream import CHUNK_BYTES
from modelyard.contract.registry_names import LAYER_CACHE_REPOSITORY
from modelyard.oci import RegistryClient
from modelyard.oci.errors import (
    BlobDigestMismatchError,
    RegistryError,
    RegistryForbiddenError,
    RegistryNotFoundError,
    RegistryRefusedError,
)
from modelyard.oci.media_types import OCI_MANIFEST
from modelyard.oci.reference import Reference
from modelyard.signatures.envelope import signed_bytes
from modelyard.streams.readable import ReadableAt

_ANNOTATION: Final = "dev.modelyard.layer"
"""Annotation of a cache entry with its CachedLayer as JSON, see `_encode`."""
_SIGNATURE_ANNOTATION: Final = "dev.modelyard.layer.signature"
"""Annotation of a cache entry with the base64 of its signature."""
_SIGNED_TYPE: Final = "application/vnd.modelyard.layer-cache-entry+json"
"""DSSE payload type of a signed entry: such a signature is valid for nothing else."""
_EMPTY_CONFIG: Final = Document.encode(CONFIG_TYPE, {
    "architecture": "unknown", "os": "unknown", "rootfs": {"type": "layers", "diff_ids": []},
})  # fmt: skip
"""Config of every cache entry. All entries share one config, so that it is uploaded only once."""


@dataclass(frozen=True)
class CachedLayer:
    """A layer, and the packages in it."""

    layer: Layer
    packages: tuple[Package, ...] = ()
    created: int | None = None
    """Seconds since 1970 when its packages were resolved; None in entries of releases up to 0.2.0."""


def cache_repository(image: Reference) -> Reference:
    """Return the cache for an image: <prefix>/<cache> for an image <prefix>/<namespace>/<name>."""
    folders = image.repository.split("/")
    prefix = folders[:-2] or folders[:1]
    return image.with_repository("/".join([*prefix, LAYER_CACHE_REPOSITORY]))


class LayerCache:
    """Layers that builds of other images can use.

    The cache is optional: if the registry forbids its use, the builds make all layers themselves.
    """

    def __init__(
        self,
        registry: RegistryClient,
        *,
        cache: ImageRepository,
        image: ImageRepository,
        log: Callable[[str], None],
        signer: Signer | None = None,
        max_age_seconds: int = 0,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`cache` is the repository of the entries, `image` that of the image under construction.

        With a signer, entries that it did not sign are ignored. `max_age_seconds` is the age from which a
        layer with unpinned packages is ignored, 0 for no limit. `now` returns seconds since 1970.
        """
        self._registry = registry
        self._cache = cache
        self._image = image
        self._log = log
        self._signer = signer
        self._max_age_seconds = max_age_seconds
        self._now = now

    def get(self, key: str, pins: Pins | None = None) -> CachedLayer | None:
        """Copy the cached layer into the repository of the image, and return it. None on a cache miss.

        A layer has an age only with `pins`. Raises RegistryError if the layer cannot be copied.
        """
        cached = self._find(key)
        if cached is None or (pins is not None and self._is_expired(cached, pins)):
            return None
        try:
            self._image.copy_blob(cached.layer.descriptor, self._cache.repository)
        except RegistryNotFoundError:  # someone deleted the blob but not the entry
            return None
        self._log(f"{cached.layer.created_by}: found in the registry")
        return cached

    def put(self, key: str, cached: CachedLayer) -> None:
        """Add a new layer of the image to the cache. An error of the registry is only logged."""
        cached = replace(cached, created=int(self._now()))
        layer = cached.layer.descriptor
        try:
            if self._cache.mount_blob(layer, self._image.repository) or self._cache.has_blob(layer):
                self._push_entry(key, cached)
        except RegistryError as error:
            self._log(f"{cached.layer.created_by}: not cached for other images: {error}")

    def find(self, key: str) -> Layer | None:
        """Return a file of the cache, None on a cache miss. Raises RegistryError."""
        cached = self._find(key)
        return cached.layer if cached else None

    @contextmanager
    def open_blob(self, layer: Layer) -> Iterator[Iterator[bytes]]:
        """Open a file of the cache. Raises RegistryError."""
        repository = self._cache.repository
        with self._registry.open_blob(repository, layer.digest, size=layer.size) as response:
            yield response.iter_raw(CHUNK_BYTES)

    def put_file(self, key: str, layer: Layer, content: ReadableAt) -> None:
        """Add a file that is part of no image. An error of the registry is only logged."""
        try:
            self._registry.upload(self._cache.repository, content, digest=layer.digest)
            self._push_entry(key, CachedLayer(layer, created=int(self._now())))
        except (RegistryError, BlobDigestMismatchError) as error:
            self._log(f"{layer.created_by}: not cached for other images: {error}")

    def _is_expired(self, cached: CachedLayer, pins: Pins) -> bool:
        if not self._max_age_seconds:
            return False
        age = None if cached.created is None else self._now() - cached.created
        if (age is not None and age < self._max_age_seconds) or pins.cover(cached.packages):
            return False
        days = "unknown" if age is None else f"{age / 86400:.1f} days"
        self._log(
            f"{cached.layer.created_by}: resolved again, because it has packages without a pinned version and"
            f" its age is {days} (build.environment.maxAge)"
        )
        return True

    def _find(self, key: str) -> CachedLayer | None:
        try:
            manifest, _ = self._registry.manifest(self._cache.repository.tagged(key))
            annotations = manifest["annotations"]
            entry = annotations[_ANNOTATION]
            if self._is_trusted(key, entry, annotations.get(_SIGNATURE_ANNOTATION, "")):
                return _decode(entry)
        except (RegistryNotFoundError, RegistryForbiddenError):
            return None  # some registries send 403 instead of 404
        except (KeyError, TypeError, ValueError):
            return None  # another version of the builder wrote the entry
        self._log(f"layer cache: the entry {key} is ignored, because the signing key did not sign it")
        return None

    def _is_trusted(self, key: str, entry: str, signature: str) -> bool:
        if self._signer is None:
            return True
        try:
            decoded = base64.b64decode(signature, validate=True)
        except ValueError:
            return False
        return self._signer.verifies(self._signed_bytes(key, entry), decoded)

    def _signed_bytes(self, key: str, entry: str) -> bytes:
        """Return the bytes that an entry's signature covers: the path of the cache, the key, the layer."""
        payload = json.dumps([self._cache.repository.repository, key, entry], separators=(",", ":"))
        return signed_bytes(_SIGNED_TYPE, payload.encode())

    def _push_entry(self, key: str, cached: CachedLayer) -> None:
        entry = _encode(cached)
        annotations = {_ANNOTATION: entry}
        if self._signer:
            signature = self._signer.sign(self._signed_bytes(key, entry))
            annotations[_SIGNATURE_ANNOTATION] = base64.b64encode(signature).decode()
        manifest = Document.encode(
            OCI_MANIFEST,
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": _EMPTY_CONFIG.descriptor,
                "layers": [cached.layer.descriptor],
                "annotations": annotations,
            },
        )
        repository = self._cache.repository
        try:
            self._registry.put_manifest(repository, manifest.body, OCI_MANIFEST, tag=key)
        except (RegistryNotFoundError, RegistryRefusedError):  # the first entry: the config is missing
            self._registry.upload_bytes(repository, _EMPTY_CONFIG.body)
            self._registry.put_manifest(repository, manifest.body, OCI_MANIFEST, tag=key)


def _encode(cached: CachedLayer) -> str:
    """Return a cached layer as JSON.

    The field names stay those of the first release. With other names, an upgrade would miss all entries, and
    would install each environment again, with the versions of packages of that day.
    """
    layer = asdict(cached.layer)
    layer["holds"] = layer.pop("created_by")
    packages = [_encode_package(package) for package in cached.packages]
    entry = {"layer": layer, "facts": {"packages": packages}, "created": cached.created}
    return json.dumps(entry, sort_keys=True)


def _decode(text: str) -> CachedLayer:
    """Return the cached layer in a text of `_encode`.

    Raises KeyError, TypeError or ValueError for other texts.
    """
    entry = json.loads(text)
    layer = {**entry["layer"], "created_by": entry["layer"]["holds"]}
    del layer["holds"]
    packages = tuple(map(_decode_package, entry["facts"].get("packages", ())))
    return CachedLayer(Layer(**layer), packages, entry.get("created"))


def _encode_package(package: Package) -> dict[str, Any]:
    """Return the fields of a package. Releases up to 0.2.0 read it if it has no source."""
    fields = asdict(package)
    if package.source is None:
        del fields["source"]
    return fields


def _decode_package(fields: dict[str, Any]) -> Package:
    source = fields.pop("source", None)
    return Package(**fields, source=PackageSource(**source) if source else None)
