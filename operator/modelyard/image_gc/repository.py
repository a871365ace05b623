"""The images and cached layers in the registry, and the changes that garbage collection makes to them."""

from __future__ import annotations

import contextlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, Protocol

from modelyard.contract.registry_names import LAYER_CACHE_REPOSITORY, UNATTESTED_SUFFIX
from modelyard.oci.errors import RegistryError, RegistryRefusedError
from modelyard.oci.media_types import OCI_MANIFEST
from modelyard.oci.reference import Reference

_BUILD_TAG: Final = re.compile(rf"[0-9a-f]{{64}}({UNATTESTED_SUFFIX})?")
"""Tags that builds give to images: the hash of the build's inputs."""
_REFERRERS_TAG: Final = re.compile(r"sha256-[0-9a-f]{64}(\.\w+)?")
"""Tags of a referrers index of OCI 1.1, and tags such as cosign's `.sig` of older tools."""


class GcRegistry(Protocol):
    """The methods of modelyard.oci.RegistryClient that garbage collection calls."""

    def repositories(self, registry: str) -> Iterator[str]:
        """Yield the paths of all repositories. Raises RegistryError if the registry lists none."""

    def tags(self, repository: Reference) -> Iterator[str]:
        """Yield the tags of a repository."""

    def resolve(self, image: str) -> str | None:
        """Return the digest of an image, None if the registry has none."""

    def manifest(self, reference: Reference) -> tuple[dict[str, Any], str]:
        """Return a manifest and its digest."""

    def manifest_bytes(self, reference: Reference) -> bytes:
        """Return a manifest as the registry stores it."""

    def put_manifest(self, repository: Reference, body: bytes, media_type: str, *, tag: str | None) -> str:
        """Push a manifest and return its digest."""

    def referrers(self, repository: Reference, digest: str) -> list[dict[str, Any]]:
        """Return the descriptors of the manifests whose subject is the digest."""

    def delete_manifest(self, repository: Reference, digest: str) -> bool:
        """Delete a manifest; False if the registry has deletion disabled."""

    def delete_tag(self, repository: Reference, tag: str) -> bool:
        """Delete a tag; False if the registry cannot delete tags."""


class _Content(NamedTuple):
    """The digests in a manifest."""

    layers: frozenset[str]
    members: frozenset[str]


class StoredManifest(NamedTuple):
    """A manifest in the registry. `repository` is a path without the registry's host."""

    repository: str
    digest: str
    tags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the name `repository@digest`."""
        return f"{self.repository}@{self.digest}"

    @property
    def has_only_build_tags(self) -> bool:
        """Return True if only builds have tagged the image. A tag by a user means that the image stays."""
        return all(_BUILD_TAG.fullmatch(tag) for tag in self.tags)


class ImageRepositories:
    """The repositories of one registry below a prefix. All methods raise RegistryError."""

    def __init__(self, registry: GcRegistry, host: str, prefix: str, namespaces: Iterable[str] = ()):
        """Select the repositories `<prefix>/<namespace>/<image>`, of all namespaces if none is named."""
        self._registry = registry
        self._host = host
        self._prefix = prefix
        self._namespaces = frozenset(namespaces)
        self._contents: dict[str, _Content] = {}

    def images(self, fallback_repositories: Iterable[str]) -> list[StoredManifest]:
        """Return all tagged images.

        A registry that refuses to list its repositories is searched in `fallback_repositories` only.
        """
        try:
            paths: Iterable[str] = list(self._registry.repositories(self._host))
        except RegistryError as error:
            if error.transient:
                raise
            paths = fallback_repositories
        return [
            stored
            for path in sorted(paths)
            if self._holds_images(path)
            for stored in self._tagged_manifests(path)
        ]

    def cached_layers(self) -> list[StoredManifest]:
        """Return the entries of the layer cache."""
        return self._tagged_manifests(f"{self._prefix}/{LAYER_CACHE_REPOSITORY}")

    def layer_digests(self, stored: StoredManifest) -> frozenset[str]:
        """Return the digests of the layers that a manifest lists."""
        return self._content(stored).layers

    def members(self, stored: StoredManifest) -> frozenset[str]:
        """Return the digests of the images in an image index, empty for an image."""
        return self._content(stored).members

    def exists(self, stored: StoredManifest) -> bool:
        """Return True if the registry has the manifest, tagged or untagged."""
        return self._registry.resolve(str(self._reference(stored))) is not None

    def untag(self, stored: StoredManifest) -> bytes:
        """Delete the tags of an image and return its manifest for `retag`.

        The operator looks images up by tag, so it cannot find the image any longer. In a registry that cannot
        delete tags, the tags stay.
        """
        reference = self._reference(stored)
        manifest = self._registry.manifest_bytes(reference)
        with contextlib.suppress(RegistryRefusedError):
            for tag in stored.tags:
                self._registry.delete_tag(reference, tag)
        return manifest

    def retag(self, stored: StoredManifest, manifest: bytes) -> None:
        """Push the tags that `untag` has deleted."""
        # OCI manifests may omit their mediaType.
        media_type = json.loads(manifest).get("mediaType", OCI_MANIFEST)
        for tag in stored.tags:
            self._registry.put_manifest(self._reference(stored), manifest, media_type, tag=tag)

    def delete(self, stored: StoredManifest) -> None:
        """Delete the manifests that refer to an image, then the manifest of the image.

        In this order the next run finds what an interrupted run has left. Raises RegistryRefusedError if the
        registry has deletion disabled.
        """
        reference = self._reference(stored)
        referrers = [item["digest"] for item in self._registry.referrers(reference, stored.digest)]
        tag_prefix = stored.digest.replace(":", "-")
        tags = [tag for tag in self._registry.tags(reference) if tag.startswith(tag_prefix)]
        tagged = (self._registry.resolve(f"{self._host}/{stored.repository}:{tag}") for tag in tags)
        for digest in [*referrers, *filter(None, tagged), stored.digest]:
            if not self._registry.delete_manifest(reference, digest):
                raise RegistryRefusedError(
                    f"{self._host} has deletion disabled: enable it, in CNCF Distribution with"
                    " REGISTRY_STORAGE_DELETE_ENABLED=true"
                )

    def _content(self, stored: StoredManifest) -> _Content:
        """Return what a manifest lists. Each manifest is read once: its digest is that of its bytes."""
        if stored.name not in self._contents:
            manifest, _ = self._registry.manifest(self._reference(stored))
            layers, members = manifest.get("layers", ()), manifest.get("manifests", ())
            self._contents[stored.name] = _Content(_digests(layers), _digests(members))
        return self._contents[stored.name]

    def _reference(self, stored: StoredManifest) -> Reference:
        return Reference(self._host, stored.repository, digest=stored.digest)

    def _holds_images(self, path: str) -> bool:
        """Return True for a path `<prefix>/<namespace>/<image>` of a selected namespace."""
        start, _, rest = path.partition(f"{self._prefix}/")
        namespace, _, image = rest.partition("/")
        is_image = not start and bool(image) and "/" not in image
        return is_image and (not self._namespaces or namespace in self._namespaces)

    def _tagged_manifests(self, path: str) -> list[StoredManifest]:
        tags_by_digest: dict[str, list[str]] = defaultdict(list)
        for tag in self._registry.tags(Reference(self._host, path)):
            if _REFERRERS_TAG.fullmatch(tag):
                continue
            if digest := self._registry.resolve(f"{self._host}/{path}:{tag}"):
                tags_by_digest[digest].append(tag)
        return [StoredManifest(path, digest, tuple(sorted(tags))) for digest, tags in tags_by_digest.items()]


def _digests(descriptors: Iterable[dict[str, Any]]) -> frozenset[str]:
    return frozenset(item["digest"] for item in descriptors)
