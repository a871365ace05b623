"""The registry as reconciling sees it: the builder's synchronous client, off the event loop."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

from modelyard.oci import RegistryClient
from modelyard.oci.registry_config import RegistryAccess
from modelyard.settings import OperatorSettings

DIGEST_TTL_SECONDS: Final = 5.0  # seconds that an answer is good for: many images are built on one base


class RegistryDigestLookup:
    """Digests of images."""

    def __init__(self, settings: OperatorSettings):
        self._client = RegistryClient(registry_access(settings))
        self._known: dict[str, tuple[float, str]] = {}

    async def digest(self, reference: str) -> str | None:
        """The digest of an image, None when there is none; RegistryError when the registry cannot say."""
        at, digest = self._known.get(reference, (0.0, ""))
        if digest and time.monotonic() - at < DIGEST_TTL_SECONDS:
            return digest
        found = await asyncio.to_thread(self._client.resolve, reference)
        if found:
            self._known = {
                key: known
                for key, known in self._known.items()
                if time.monotonic() - known[0] < DIGEST_TTL_SECONDS
            }
            self._known[reference] = (time.monotonic(), found)
        return found

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def registry_access(settings: OperatorSettings) -> RegistryAccess:
    """How pods of the operator's namespace reach the registry."""
    registry = settings.registry
    return RegistryAccess(
        config=Path(registry.config_path) if registry.config_path else None,
        insecure=frozenset({registry.internal_name}) if registry.insecure else frozenset(),
        aliases={registry.push: registry.internal_name},
        ca_bundle=Path(registry.ca_path) if registry.ca_path else None,
    )
