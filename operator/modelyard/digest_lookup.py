"""Lookup of image digests for the reconcilers, in threads: the registry client is synchronous."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from modelyard.oci import RegistryClient
from modelyard.oci.registry_config import RegistryAccess
from modelyard.settings import OperatorSettings

DIGEST_TTL_SECONDS: Final = 5.0
"""Seconds for which a digest is cached, because many images have the same base image."""


class _CachedDigest(NamedTuple):
    digest: str
    time: float


class RegistryDigestLookup:
    """Digests of images, cached for DIGEST_TTL_SECONDS. Close it after use."""

    def __init__(self, settings: OperatorSettings, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds."""
        self._client = RegistryClient(registry_access(settings))
        self._clock = clock
        self._cache: dict[str, _CachedDigest] = {}

    async def digest(self, reference: str) -> str | None:
        """Return the digest of an image, None if the registry has no such image.

        A missing image is not cached. Raises RegistryError, and ReferenceInvalidError if the name is not
        valid.
        """
        cached = self._cache.get(reference)
        if cached and self._is_fresh(cached):
            return cached.digest
        digest = await asyncio.to_thread(self._client.resolve, reference)
        if digest:
            self._cache = {name: entry for name, entry in self._cache.items() if self._is_fresh(entry)}
            self._cache[reference] = _CachedDigest(digest, self._clock())
        return digest

    def close(self) -> None:
        """Close the connections to the registry."""
        self._client.close()

    def _is_fresh(self, cached: _CachedDigest) -> bool:
        return self._clock() - cached.time < DIGEST_TTL_SECONDS


def registry_access(settings: OperatorSettings) -> RegistryAccess:
    """Return the access to the registry for pods in the operator's namespace."""
    registry = settings.registry
    return RegistryAccess(
        config=Path(registry.config_path) if registry.config_path else None,
        insecure=frozenset({registry.internal_name}) if registry.insecure else frozenset(),
        aliases={registry.push: registry.internal_name},
        ca_bundle=Path(registry.ca_path) if registry.ca_path else None,
    )
