"""Lookup of image digests for the reconcilers, in threads: the registry client is synchronous.

Each registry has its own threads and its own circuit breaker. A registry that accepts connections and never
answers delays no lookup in another registry.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import httpx
import orjson

from modelyard.backoff import Backoff
from modelyard.circuit_breaker import CircuitBreaker
from modelyard.coded_error import CodedError
from modelyard.metrics import REGISTRY_LOOKUPS
from modelyard.oci import RegistryClient
from modelyard.oci.errors import RegistryNotFoundError, RegistryUnavailableError
from modelyard.oci.reference import parse_reference
from modelyard.oci.registry_config import RegistryAccess
from modelyard.retry import Retry
from modelyard.settings import OperatorSettings

T = TypeVar("T")

_LOG: Final = logging.getLogger(__name__)
DIGEST_TTL_SECONDS: Final = 5.0
"""Seconds for which a digest is cached, because many images have the same base image."""
LOOKUPS_PER_REGISTRY: Final = 4
"""Lookups in one registry at the same time, each in a thread."""
LOOKUP_SECONDS: Final = 10.0
"""Timeout of one lookup with its login and its second attempt."""
# Two attempts of HEAD fit into LOOKUP_SECONDS. A second attempt is for idle connections that a proxy closed.
_TIMEOUT: Final = httpx.Timeout(4.0, connect=2.5)
_RETRY: Final = Retry(attempts=2, backoff=Backoff(first_seconds=0.25, most_seconds=1.0))


_OS: Final = "linux"
_VERIFIED_IMAGES: Final = 10_000
"""Images whose signature was verified, about 300 bytes each: they are not verified again."""


class _CachedDigest(NamedTuple):
    digest: str
    time: float


class _Registry:
    """The threads of one registry, its circuit breaker and the message of its last failure."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self.name = name
        self.threads = ThreadPoolExecutor(LOOKUPS_PER_REGISTRY, thread_name_prefix="registry")
        self.slots = asyncio.Semaphore(LOOKUPS_PER_REGISTRY)
        self.breaker = CircuitBreaker(clock=clock)
        self.last_failure = ""


class RegistryDigestLookup:
    """Digests of images, cached for DIGEST_TTL_SECONDS. Close it after use."""

    def __init__(
        self,
        settings: OperatorSettings,
        clock: Callable[[], float] = time.monotonic,
        timeout_seconds: float = LOOKUP_SECONDS,
        retry: Retry = _RETRY,
    ) -> None:
        """`clock` returns seconds. `timeout_seconds` bounds one lookup, with the attempts of `retry`."""
        self._client = RegistryClient(registry_access(settings), retry=retry, timeout=_TIMEOUT)
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._cache: dict[str, _CachedDigest] = {}
        self._public_keys = settings.registry.public_keys_path
        self._verified: dict[tuple[str, str], None] = {}  # reference and digest, oldest first
        self._registries: dict[str, _Registry] = {}  # only registries of the settings: a few

    async def digest(self, reference: str) -> str | None:
        """Return the digest of an image, None if the registry has no such image.

        A missing image is not cached. Raises RegistryError, also at once for a registry that failed several
        times in a row, and ReferenceInvalidError if the name is not valid.
        """
        registry = self._registry_of(reference)
        async with registry.slots:
            if cached := self._cached(reference):
                return cached
            digest = await self._call(registry, partial(self._client.resolve, reference))
        REGISTRY_LOOKUPS.labels(result="found" if digest else "missing").inc()
        if digest:
            self._cache = {key: entry for key, entry in self._cache.items() if self._is_fresh(entry)}
            self._cache[reference] = _CachedDigest(digest, self._clock())
        return digest

    async def architectures(self, reference: str, digest: str) -> tuple[str, ...]:
        """Return the architectures of an image, such as `amd64`, sorted; empty if they are unknown.

        An image has the one of its config, an image index those of its images for Linux. They are unknown
        for a damaged image. Raises CodedError if the registry does not answer: an image of unknown
        architecture may run on any node, and would crash on most others.
        """
        if not reference:
            return ()
        registry = self._registry_of(reference)
        async with registry.slots:
            try:
                return await self._call(registry, partial(self._architectures, reference, digest))
            except RegistryNotFoundError as error:
                _LOG.warning("the architecture of %s is unknown: %s", reference, error)
                return ()

    def _architectures(self, reference: str, digest: str) -> tuple[str, ...]:
        image = parse_reference(reference).at(digest)
        manifest, _ = self._client.manifest(image)
        try:
            if "manifests" in manifest:
                platforms = [item["platform"] for item in manifest["manifests"]]
                return tuple(sorted({str(item["architecture"]) for item in platforms if item["os"] == _OS}))
            config = orjson.loads(self._client.blob_bytes(image, manifest["config"]["digest"]))
            return (str(config["architecture"]),)
        except (KeyError, TypeError, ValueError):
            return ()

    async def built(self, reference: str) -> str | None:
        """Return the digest of the image with a tag, None if there is none that a build made.

        With public keys in the settings, only an image counts whose signature for this tag one of them
        verifies. An image is verified once. Raises the errors of `digest`.
        """
        digest = await self.digest(reference)
        if digest is None or self._public_keys is None or (reference, digest) in self._verified:
            return digest
        registry = self._registry_of(reference)
        async with registry.slots:
            is_signed = await self._call(registry, partial(self._is_signed, reference, digest))
        if not is_signed:
            REGISTRY_LOOKUPS.labels(result="unsigned").inc()
            self._cache.pop(reference, None)  # a build is about to replace the tag
            _LOG.warning(
                "%s is not reused: no key in %s verifies a signature of %s for this tag",
                reference, self._public_keys, digest,
            )  # fmt: skip
            return None
        self._verified[reference, digest] = None
        if len(self._verified) > _VERIFIED_IMAGES:
            del self._verified[next(iter(self._verified))]
        return digest

    def _is_signed(self, reference: str, digest: str) -> bool:
        # Imported here, because cryptography takes 0.1 s and some MiB, and most releases have no signing key.
        from modelyard.signatures.image_signature import is_signed  # noqa: PLC0415
        from modelyard.signatures.public_keys import load_public_keys  # noqa: PLC0415

        # Read each time: the kubelet updates the file when the Secret changes.
        keys = load_public_keys(Path(self._public_keys or ""))
        return is_signed(self._client, parse_reference(reference), digest, keys)

    def _registry_of(self, reference: str) -> _Registry:
        name = parse_reference(reference).registry
        registry = self._registries.get(name)
        if registry is None:
            registry = self._registries[name] = _Registry(name, self._clock)
        return registry

    async def _call(self, registry: _Registry, look_up: Callable[[], T]) -> T:
        """Run a lookup in a thread of its registry, unless the registry is paused."""
        name = registry.name
        if registry.breaker.seconds_until_trial:
            REGISTRY_LOOKUPS.labels(result="paused").inc()
            raise RegistryUnavailableError(f"lookups in {name} are paused: {registry.last_failure}")
        registry.breaker.begin()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                result = await loop.run_in_executor(registry.threads, look_up)
        except TimeoutError:
            error = RegistryUnavailableError(f"{name} has not answered within {self._timeout_seconds:g} s")
            self._fail(registry, error)
            raise error from None
        except CodedError as error:
            self._fail(registry, error)
            raise
        except BaseException:
            registry.breaker.abandon()
            raise
        registry.breaker.succeed()
        return result

    def _fail(self, registry: _Registry, error: CodedError) -> None:
        REGISTRY_LOOKUPS.labels(result="failed").inc()
        registry.last_failure = error.message
        # An answer such as 401 shows that the registry works: only missing answers open the breaker.
        if error.transient:
            registry.breaker.fail()
        else:
            registry.breaker.succeed()

    def close(self) -> None:
        """Close the connections to the registries. Lookups in progress end with their timeouts."""
        for registry in self._registries.values():
            registry.threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _cached(self, reference: str) -> str | None:
        entry = self._cache.get(reference)
        return entry.digest if entry and self._is_fresh(entry) else None

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
