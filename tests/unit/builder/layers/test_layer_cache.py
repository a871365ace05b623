"""Entries of the layer cache: the signature of an entry, and its age."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.unit.builder.layers.conftest import Builds

from modelyard.builder.attestation.signing_key import KeySigner
from modelyard.contract.build_request import BuildRequest

CACHE = "prefix/layer__cache"
LAYER, SIGNATURE = "dev.modelyard.layer", "dev.modelyard.layer.signature"
IGNORED = "is ignored, because the signing key did not sign it"


@pytest.fixture
def signer() -> KeySigner:
    return KeySigner(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
def request_(builds: Builds) -> BuildRequest:
    return builds.request(pip_requirements="numpy")


def _entries(builds: Builds) -> dict[str, dict[str, str]]:
    """Return the annotations of each entry by its key."""
    return {
        name: json.loads(body)["annotations"]
        for (repository, name), body in builds.fake.manifests.items()
        if repository == CACHE and not name.startswith("sha256:")
    }


def _plant(builds: Builds, key: str, annotations: dict[str, str]) -> None:
    entry = json.loads(builds.fake.manifests[CACHE, key])
    builds.fake.manifests[CACHE, key] = json.dumps({**entry, "annotations": annotations}).encode()


def test_signed_entries_are_used(builds: Builds, request_: BuildRequest, signer: KeySigner) -> None:
    first = builds.publish(request_, signer)
    assert builds.publish(request_, signer) == first
    assert sorted(builds.installed) == ["numpy", "runtime"]
    assert IGNORED not in builds.out.getvalue()


def test_entries_of_builds_without_a_key_are_ignored_with_a_key(
    builds: Builds, request_: BuildRequest, signer: KeySigner
) -> None:
    builds.publish(request_)
    builds.publish(request_, signer)
    assert sorted(builds.installed) == ["numpy", "numpy", "runtime", "runtime"]
    assert builds.out.getvalue().count(IGNORED) == 2
    builds.publish(request_, signer)  # the entries have signatures now
    assert len(builds.installed) == 4


def test_entry_of_another_key_is_ignored(builds: Builds, request_: BuildRequest, signer: KeySigner) -> None:
    builds.publish(request_, KeySigner(ec.generate_private_key(ec.SECP256R1())))
    builds.publish(request_, signer)
    assert len(builds.installed) == 4


@pytest.mark.parametrize("damage", ["", "no base64", "AAAA"])
def test_entry_with_a_damaged_signature_is_ignored(
    builds: Builds, request_: BuildRequest, signer: KeySigner, damage: str
) -> None:
    builds.publish(request_, signer)
    for key, entry in _entries(builds).items():
        _plant(builds, key, entry | {SIGNATURE: damage})
    builds.publish(request_, signer)
    assert len(builds.installed) == 4


def test_signed_entry_counts_under_its_own_key_only(
    builds: Builds, request_: BuildRequest, signer: KeySigner
) -> None:
    builds.publish(request_, signer)
    (first, its), (second, other) = _entries(builds).items()
    _plant(builds, first, other)
    _plant(builds, second, its)
    builds.publish(request_, signer)
    assert len(builds.installed) == 4


def test_signature_covers_the_layer(builds: Builds, request_: BuildRequest, signer: KeySigner) -> None:
    builds.publish(request_, signer)
    for key, entry in _entries(builds).items():
        content = json.loads(entry[LAYER])
        content["layer"]["digest"] = f"sha256:{'e' * 64}"
        _plant(builds, key, entry | {LAYER: json.dumps(content)})
    builds.publish(request_, signer)
    assert len(builds.installed) == 4


AGE = 3600


def _grow_old(builds: Builds, seconds: int | None = AGE, packages: tuple[str, ...] = ("numpy",)) -> None:
    """Change when entries were created, and the packages in them."""
    for key, entry in _entries(builds).items():
        content = json.loads(entry[LAYER])
        content["created"] = content["created"] - seconds if seconds else None
        content["facts"]["packages"] = [{"name": name, "version": "2.3.1"} for name in packages]
        _plant(builds, key, entry | {LAYER: json.dumps(content)})


@pytest.mark.parametrize(
    ("requirements", "seconds", "max_age", "is_resolved"),
    [
        ("numpy", AGE, AGE, True),
        ("numpy", AGE - 60, AGE, False),
        ("numpy", 100 * AGE, 0, False),
        ("numpy==2.3.1", 100 * AGE, AGE, False),
        ("numpy", None, AGE, True),
        ("numpy==2.3.1", None, AGE, False),
    ],
)
def test_environment_without_pinned_versions_is_resolved_again_at_its_age(
    builds: Builds, requirements: str, seconds: int | None, max_age: int, is_resolved: bool
) -> None:
    request = builds.request(pip_requirements=requirements)
    builds.publish(request)
    _grow_old(builds, seconds)
    builds.publish(request, max_age_seconds=max_age)
    assert builds.installed.count(requirements) == 1 + is_resolved
    assert builds.installed.count("runtime") == 1
    assert ("(build.environment.maxAge)" in builds.out.getvalue()) == is_resolved
    builds.publish(request, max_age_seconds=max_age)
    assert builds.installed.count(requirements) == 1 + is_resolved


def test_requirement_of_a_pinned_package_has_an_age(builds: Builds) -> None:
    request = builds.request(pip_requirements="numpy==2.3.1")
    builds.publish(request)
    _grow_old(builds, packages=("numpy", "required-by-numpy"))
    builds.publish(request, max_age_seconds=AGE)
    assert builds.installed.count("numpy==2.3.1") == 2
