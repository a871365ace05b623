"""What is in the registry below the prefix, and what the registry does to it."""

from __future__ import annotations

import contextlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, Protocol

from modelyard.builder.attestation.attach import UNATTESTED_SUFFIX
from modelyard.builder.layers.layer_cache import LAYER_CACHE_REPOSITORY
from modelyard.oci.errors import (
    RegistryError,
    RegistryRefusedError,
)
from modelyard.oci.media_types import OCI_MANIFEST
from modelyard.oci.reference import Reference

_HASH: Final = re.compile(rf"[0-9a-f]{{64}}({UNATTESTED_SUFFIX})?")
_ABOUT: Final = re.compile(r"sha256-[0-9a-f]{64}(\.\w+)?")
"""Tags of the index of an image's referrers, and of what older tools attached to it."""


class Registry(Protocol):
    """Of a registry, what cleaning up takes; see modelyard.oci."""

    def repositories(self, registry: str) -> Iterator[str]: ...

    def tags(self, repository: Reference) -> Iterator[str]: ...

    def resolve(self, image: str) -> str | None: ...

    def manifest(self, reference: Reference) -> tuple[dict[str, Any], str]: ...

    def manifest_bytes(self, reference: Reference) -> bytes: ...

    def put_manifest(
        self, repository: Reference, body: bytes, media_type: str, *, tag: str | None
    ) -> str: ...

    def referrers(self, repository: Reference, digest: str) -> list[dict[str, Any]]: ...

    def delete_manifest(self, repository: Reference, digest: str) -> bool: ...

    def delete_tag(self, repository: Reference, tag: str) -> bool: ...


class Stored(NamedTuple):
    """A manifest, by the path of its repository."""

    repository: str
    digest: str
    tags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.repository}@{self.digest}"

    @property
    def is_ours(self) -> bool:
        """Whether its tags are those that builds give; whoever gives it another tag wants to keep it."""
        return all(_HASH.fullmatch(tag) for tag in self.tags)


class Shelf:
    """One registry's repositories below a prefix."""

    def __init__(self, registry: Registry, host: str, prefix: str, namespaces: Iterable[str] = ()):
        """`namespaces`: those whose images are looked at, all when empty."""
        self._registry = registry
        self._host = host
        self._prefix = prefix
        self._namespaces = frozenset(namespaces)

    def images(self, known: Iterable[str]) -> list[Stored]:
        """All images; of the `known` repositories where the registry does not list its own."""
        try:
            found: Iterable[str] = list(self._registry.repositories(self._host))
        except RegistryError as error:
            if error.transient:
                raise
            found = known
        return [stored for path in sorted(found) if self._is_images(path) for stored in self._stored(path)]

    def cached_layers(self) -> list[Stored]:
        """Entries of the layer cache."""
        return self._stored(f"{self._prefix}/{LAYER_CACHE_REPOSITORY}")

    def layers(self, stored: Stored) -> frozenset[str]:
        """Digests of a manifest's layers."""
        manifest, _ = self._registry.manifest(self._reference(stored))
        return frozenset(layer["digest"] for layer in manifest.get("layers", ()))

    def has(self, stored: Stored) -> bool:
        """Whether it is still there, with a tag or without."""
        return self._registry.resolve(str(self._reference(stored))) is not None

    def hide(self, stored: Stored) -> bytes:
        """Take its tags away: nobody who looks for the hash of inputs finds it any more.

        Its manifest, to `show` it again. Where a registry cannot delete tags they stay.
        """
        reference = self._reference(stored)
        body = self._registry.manifest_bytes(reference)
        with contextlib.suppress(RegistryRefusedError):
            for tag in stored.tags:
                self._registry.delete_tag(reference, tag)
        return body

    def show(self, stored: Stored, manifest: bytes) -> None:
        """Give it its tags again."""
        kind = json.loads(manifest).get("mediaType", OCI_MANIFEST)  # may be left out of OCI's
        for tag in stored.tags:
            self._registry.put_manifest(self._reference(stored), manifest, kind, tag=tag)

    def remove(self, stored: Stored) -> None:
        """Delete it, after all that refers to it: what is left of an interrupted removal is found again.

        Raises RegistryRefusedError where the registry deletes nothing.
        """
        reference = self._reference(stored)
        about = [item["digest"] for item in self._registry.referrers(reference, stored.digest)]
        start = stored.digest.replace(":", "-")
        tags = [tag for tag in self._registry.tags(reference) if tag.startswith(start)]
        found = (self._registry.resolve(f"{self._host}/{stored.repository}:{tag}") for tag in tags)
        for digest in [*about, *filter(None, found), stored.digest]:
            if not self._registry.delete_manifest(reference, digest):
                raise RegistryRefusedError(
                    f"{self._host} has deletion switched off (REGISTRY_STORAGE_DELETE_ENABLED=true of CNCF"
                    " Distribution switches it on)"
                )

    def _reference(self, stored: Stored) -> Reference:
        return Reference(self._host, stored.repository, digest=stored.digest)

    def _is_images(self, path: str) -> bool:
        """Of the form <prefix>/<namespace>/<image>."""
        start, _, rest = path.partition(f"{self._prefix}/")
        namespace, _, image = rest.partition("/")
        named = not start and bool(image) and "/" not in image
        return named and (not self._namespaces or namespace in self._namespaces)

    def _stored(self, path: str) -> list[Stored]:
        tags: dict[str, list[str]] = defaultdict(list)
        for tag in self._registry.tags(Reference(self._host, path)):
            if not _ABOUT.fullmatch(tag) and (digest := self._registry.resolve(f"{self._host}/{path}:{tag}")):
                tags[digest].append(tag)
        return [Stored(path, digest, tuple(sorted(found))) for digest, found in tags.items()]
