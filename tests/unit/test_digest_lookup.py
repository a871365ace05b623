"""Lookup of image digests for the reconcilers."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.clock import SecondsClock
from tests.unit.oci.fake_registry import FakeRegistry, digest_of

from modelyard.digest_lookup import (
    DIGEST_TTL_SECONDS,
    LOOKUPS_PER_REGISTRY,
    RegistryDigestLookup,
    registry_access,
)
from modelyard.oci.errors import ReferenceInvalidError, RegistryUnavailableError
from modelyard.oci.reference import Reference
from modelyard.retry import Retry
from modelyard.settings import OperatorSettings, RegistrySettings
from modelyard.signatures import image_signature

MANIFEST = b"{}"


@pytest.fixture
def clock() -> SecondsClock:
    return SecondsClock()


@pytest.fixture
def lookup(clock: SecondsClock) -> Iterator[RegistryDigestLookup]:
    lookup = RegistryDigestLookup(OperatorSettings(), clock)
    yield lookup
    lookup.close()


async def test_digest_is_cached_for_its_time_to_live(
    fake: FakeRegistry, lookup: RegistryDigestLookup, clock: SecondsClock
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


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


async def test_registry_that_never_answers_is_paused_and_delays_no_other(
    fake: FakeRegistry, silent: socket.socket, clock: SecondsClock
) -> None:
    fake.manifests["base", "1"] = MANIFEST
    lookup = RegistryDigestLookup(OperatorSettings(), clock, timeout_seconds=2)
    hung = f"localhost:{silent.getsockname()[1]}"
    calls = [asyncio.create_task(lookup.digest(f"{hung}/m:{number}")) for number in range(16)]
    async with asyncio.timeout(20):
        assert await lookup.digest(f"{fake.address}/base:1") == digest_of(MANIFEST)
        errors = await asyncio.gather(*calls, return_exceptions=True)
    messages = [str(error) for error in errors]
    assert all(isinstance(error, RegistryUnavailableError) for error in errors)
    assert sum("paused" not in message for message in messages) <= LOOKUPS_PER_REGISTRY + 2
    assert f"lookups in {hung} are paused: {hung} has not answered within 2 s" in messages
    silent.close()
    lookup.close()


async def test_paused_registry_is_tried_again(fake: FakeRegistry, clock: SecondsClock) -> None:
    lookup = RegistryDigestLookup(OperatorSettings(), clock, retry=Retry(attempts=1))
    image = f"{fake.address}/base:1"
    fake.manifests["base", "1"] = MANIFEST
    fake.refuse = lambda _: (503, {})
    for _ in range(5):
        with pytest.raises(RegistryUnavailableError):
            await lookup.digest(image)
    calls = len(fake.calls)
    fake.refuse = lambda _: None
    with pytest.raises(RegistryUnavailableError, match="paused"):
        await lookup.digest(image)
    assert len(fake.calls) == calls
    clock.seconds += 15.0
    assert await lookup.digest(image) == digest_of(MANIFEST)
    lookup.close()


async def test_built_image_costs_no_further_request_without_keys(
    fake: FakeRegistry, lookup: RegistryDigestLookup
) -> None:
    fake.manifests["m", "t"] = MANIFEST
    assert await lookup.built(f"{fake.address}/m:t") == digest_of(MANIFEST)
    assert len(fake.calls) == 2  # the fake registry answers HEAD without the digest


async def test_unsigned_image_counts_as_missing_with_keys(
    fake: FakeRegistry, clock: SecondsClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake.manifests["m", "t"] = MANIFEST
    image = f"{fake.address}/m:t"
    lookup = _lookup_with_keys(tmp_path, clock)
    assert await lookup.built(image) is None
    assert await lookup.digest(image) == digest_of(MANIFEST)
    assert f"{image} is not reused" in caplog.text
    lookup.close()


async def test_build_that_replaces_an_unsigned_image_is_found_at_once(
    fake: FakeRegistry, clock: SecondsClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = digest_of(b"[]")
    monkeypatch.setattr(image_signature, "is_signed", lambda _client, _image, digest, _keys: digest == signed)
    lookup, image = _lookup_with_keys(tmp_path, clock), f"{fake.address}/m:t"
    fake.manifests["m", "t"] = MANIFEST
    assert await lookup.built(image) is None
    fake.manifests["m", "t"] = b"[]"
    assert await lookup.built(image) == signed
    lookup.close()


async def test_signature_is_verified_once_for_each_digest(
    fake: FakeRegistry, clock: SecondsClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = []

    def is_signed(_client: object, image: Reference, digest: str, _keys: object) -> bool:
        verified.append((str(image), digest))
        return True

    monkeypatch.setattr(image_signature, "is_signed", is_signed)
    lookup, image = _lookup_with_keys(tmp_path, clock), f"{fake.address}/m:t"
    for body in (MANIFEST, MANIFEST, b"[]", MANIFEST):
        fake.manifests["m", "t"] = body
        assert await lookup.built(image) == digest_of(body)
        clock.seconds += DIGEST_TTL_SECONDS
    assert verified == [(image, digest_of(MANIFEST)), (image, digest_of(b"[]"))]
    lookup.close()


def _lookup_with_keys(folder: Path, clock: SecondsClock) -> RegistryDigestLookup:
    registry = RegistrySettings(public_keys_path=str(folder / "cosign.pub"))
    return RegistryDigestLookup(OperatorSettings(registry=registry), clock)


async def test_invalid_name_is_an_error(lookup: RegistryDigestLookup) -> None:
    with pytest.raises(ReferenceInvalidError):
        await lookup.digest("Not An Image")


def test_operator_connects_to_the_internal_name_of_the_registry() -> None:
    settings = OperatorSettings.model_validate(
        {"registry": {"push": "hub.example", "internal": "registry.svc:5000", "insecure": True}}
    )
    assert registry_access(settings).base_url("hub.example") == "http://registry.svc:5000"


@pytest.mark.parametrize(
    ("config", "architectures"),
    [(b'{"architecture": "arm64"}', ("arm64",)), (b"{}", ()), (b"no JSON", ()), (None, ())],
    ids=["arm64", "none", "damaged", "missing"],
)
async def test_architecture_is_that_of_the_config(
    fake: FakeRegistry, lookup: RegistryDigestLookup, config: bytes | None, architectures: tuple[str, ...]
) -> None:
    digest = digest_of(config or b"absent")
    if config:
        fake.blobs["m", digest] = config
    body = json.dumps({"config": {"digest": digest}}).encode()
    fake.manifests["m", digest_of(body)] = body
    assert await lookup.architectures(f"{fake.address}/m:1", digest_of(body)) == architectures


@pytest.mark.parametrize(
    ("platforms", "architectures"),
    [
        (["linux/arm64", "linux/amd64", "windows/arm", "unknown/unknown"], ("amd64", "arm64")),
        ([], ()),
        ([None], ()),
    ],
    ids=["two", "none", "unnamed"],
)
async def test_architectures_of_an_index_are_those_of_its_images_for_linux(
    fake: FakeRegistry,
    lookup: RegistryDigestLookup,
    platforms: list[str | None],
    architectures: tuple[str, ...],
) -> None:
    parts = [(platform or "").partition("/") for platform in platforms]
    items = [{"platform": {"os": os, "architecture": name}} if name else {} for os, _, name in parts]
    body = json.dumps({"manifests": items}).encode()
    fake.manifests["m", digest_of(body)] = body
    assert await lookup.architectures(f"{fake.address}/m:1", digest_of(body)) == architectures
    assert await lookup.architectures("", digest_of(body)) == ()


async def test_architecture_is_an_error_while_the_registry_is_away(
    fake: FakeRegistry, lookup: RegistryDigestLookup
) -> None:
    with pytest.raises(RegistryUnavailableError):
        await lookup.architectures("127.0.0.1:1/m:1", digest_of(b"absent"))
