"""Lookup of image digests for the reconcilers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.oci.fake_registry import FakeRegistry, digest_of

from modelyard.digest_lookup import DIGEST_TTL_SECONDS, RegistryDigestLookup, registry_access
from modelyard.oci.errors import ReferenceInvalidError
from modelyard.settings import OperatorSettings

MANIFEST = b"{}"


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    registry = FakeRegistry()
    yield registry
    registry.stop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lookup(clock: Clock) -> Iterator[RegistryDigestLookup]:
    lookup = RegistryDigestLookup(OperatorSettings(), clock)
    yield lookup
    lookup.close()


async def test_digest_is_cached_for_its_time_to_live(
    fake: FakeRegistry, lookup: RegistryDigestLookup, clock: Clock
) -> None:
    fake.manifests["base", "1"] = MANIFEST
    image = f"{fake.address}/base:1"
    assert await lookup.digest(image) == digest_of(MANIFEST)
    fake.manifests["base", "1"] = b"[]"
    clock.seconds += DIGEST_TTL_SECONDS - 0.1
    assert await lookup.digest(image) == digest_of(MANIFEST)
    clock.seconds += 0.1
    assert await lookup.digest(image) == digest_of(b"[]")


async def test_missing_image_is_not_cached(fake: FakeRegistry, lookup: RegistryDigestLookup) -> None:
    image = f"{fake.address}/base:1"
    assert await lookup.digest(image) is None
    fake.manifests["base", "1"] = MANIFEST
    assert await lookup.digest(image) == digest_of(MANIFEST)


async def test_invalid_name_is_an_error(lookup: RegistryDigestLookup) -> None:
    with pytest.raises(ReferenceInvalidError):
        await lookup.digest("Not An Image")


def test_operator_connects_to_the_internal_name_of_the_registry() -> None:
    settings = OperatorSettings.model_validate(
        {"registry": {"push": "hub.example", "internal": "registry.svc:5000", "insecure": True}}
    )
    assert registry_access(settings).base_url("hub.example") == "http://registry.svc:5000"
