"""Attestations of the images that builds make."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.builder.conftest import (
    DRIVER,
    Builds,
)

from modelyard.contract.build_request import (
    BuilderKind,
    BuildRequest,
    ModelInput,
    Source,
)
from modelyard.contract.scoring_runtime import runtime_version
from modelyard.digest_lookup import RegistryDigestLookup
from modelyard.oci import RegistryClient
from modelyard.oci.media_types import OCI_MANIFEST
from modelyard.oci.reference import parse_reference
from modelyard.oci.registry_config import RegistryAccess
from modelyard.settings import OperatorSettings, RegistrySettings

MODEL = ModelInput(
    name="m",
    version=1,
    source=Source(url="data:,weights", credentials={"token": "token-of-the-secret"}),
)


def _request(builds: Builds, builder: BuilderKind) -> BuildRequest:
    return builds.request(MODEL, builder=builder, pip_requirements="tomli-w==1.2.0\n")


def _attached_documents(request: BuildRequest, digest: str) -> dict[str, Any]:
    """Return the documents attached to an image by their artifact type."""
    repository = parse_reference(request.repository)
    found = {}
    with RegistryClient(RegistryAccess()) as registry:
        for item in registry.referrers(repository, digest):
            manifest, _ = registry.manifest(repository.at(item["digest"]))
            (layer,) = manifest["layers"]
            found[manifest["artifactType"]] = json.loads(registry.blob_bytes(repository, layer["digest"]))
    return found


@pytest.mark.parametrize("builder", list(BuilderKind))
def test_image_has_a_bill_of_materials_and_provenance(builds: Builds, builder: BuilderKind) -> None:
    request = _request(builds, builder)
    ran = builds.run(request)
    assert ran.code == 0, ran.log
    documents = _attached_documents(request, str(ran.result.digest))
    assert "token-of-the-secret" not in json.dumps(documents)

    bill = documents["application/vnd.cyclonedx+json"]
    listed = {part.get("purl") for part in bill["components"]}
    assert {"pkg:pypi/tomli-w@1.2.0"} < listed
    assert any(purl and purl.startswith("pkg:pypi/uvloop@") for purl in listed)  # of the runtime

    statement = documents["application/vnd.in-toto+json"]
    assert statement["subject"][0]["digest"]["sha256"] == str(ran.result.digest).removeprefix("sha256:")
    inputs = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    digests = {item["name"]: item["digest"]["sha256"] for item in inputs}
    assert digests["model m:1"] == hashlib.sha256(b"weights").hexdigest()
    assert digests["asset driver"] == hashlib.sha256(DRIVER.encode()).hexdigest()
    assert digests["scoring runtime modelyard"] == runtime_version()
    assert {"RECORD of tomli_w", "requirements pipRequirements"} < set(digests)
    assert [name for name in digests if name.startswith("base image ")]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests.values())
    builder_id = statement["predicate"]["runDetails"]["builder"]["id"]
    assert builder_id == f"https://modelyard.dev/builder/{builder.lower()}"


def test_equal_inputs_give_equal_images_on_any_machine(builds: Builds) -> None:
    """Each build has its own repository and folder, so it cannot reuse a layer of the other."""
    machines: list[dict[str, Any]] = [
        {"umask": 0o022, "PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C.UTF-8"},
        {"umask": 0o077, "PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo", "LC_ALL": "POSIX"},
    ]
    driver, digests = f"{DRIVER}# für {uuid.uuid4()}\n", []
    for machine in machines:
        request = builds.request(
            MODEL,
            driver=driver,
            builder=BuilderKind.LAYERS,
            pip_requirements="tomli-w==1.2.0\n",
            repository=f"{builds.registry}/modelyard-tests-{uuid.uuid4().hex[:12]}/ns/image",
        )
        ran = builds.run(request, **machine)
        assert ran.code == 0, ran.log
        assert "found in the registry" not in ran.log
        digests.append(ran.result.digest)
    assert digests[0] == digests[1]


@pytest.mark.parametrize("builder", list(BuilderKind))
def test_images_are_signed_with_the_key_of_a_secret(
    builds: Builds,
    builder: BuilderKind,
    cosign: Callable[..., subprocess.CompletedProcess[str]],
    key_folder: Path,
) -> None:
    request = _request(builds, builder)
    ran = builds.run(request, MODELYARD_SIGNING_KEY=str(key_folder))
    assert ran.code == 0, ran.log
    image = f"{request.repository}@{ran.result.digest}"
    verified = cosign("verify", "--key", "cosign.pub", "--insecure-ignore-tlog", image)
    assert verified.returncode == 0, verified.stderr


async def test_planted_image_is_not_reused(builds: Builds, key_folder: Path) -> None:
    """The operator verifies with the public key that cosign made."""
    own_cache = f"{builds.registry}/modelyard-tests-{uuid.uuid4().hex[:12]}/ns/image"
    request = builds.request(MODEL, builder=BuilderKind.LAYERS, repository=own_cache)
    planted = builds.run(request)
    registry = RegistrySettings(public_keys_path=str(key_folder / "cosign.pub"))
    lookup = RegistryDigestLookup(OperatorSettings(registry=registry))
    image = f"{request.repository}:{request.tag}"
    assert planted.result.digest
    assert await lookup.built(image) is None
    ran = builds.run(request, MODELYARD_SIGNING_KEY=str(key_folder))
    assert ran.code == 0, ran.log
    assert "is ignored, because the signing key did not sign it" in ran.log
    assert await lookup.built(image) == ran.result.digest
    other_inputs = "f" * 64
    with RegistryClient(RegistryAccess()) as client:
        repository = parse_reference(request.repository)
        body = client.manifest_bytes(repository.at(str(ran.result.digest)))
        client.put_manifest(repository, body, OCI_MANIFEST, tag=other_inputs)
    assert await lookup.built(f"{request.repository}:{other_inputs}") is None
    lookup.close()


def test_missing_signing_key_fails_the_build(builds: Builds, tmp_path: Path) -> None:
    ran = builds.run(_request(builds, BuilderKind.LAYERS), MODELYARD_SIGNING_KEY=str(tmp_path))
    assert ran.code == 1
    assert ran.result.error is not None
    assert (ran.result.error.code, ran.result.error.transient) == ("SigningKeyInvalid", False)


@pytest.mark.parametrize("builder", list(BuilderKind))
def test_disabled_attestations_are_not_attached(builds: Builds, builder: BuilderKind) -> None:
    request = _request(builds, builder)
    ran = builds.run(request, MODELYARD_ATTESTATIONS="false")
    assert ran.code == 0, ran.log
    assert not _attached_documents(request, str(ran.result.digest))


@pytest.mark.parametrize("builder", list(BuilderKind))
def test_image_has_one_tag(builds: Builds, builder: BuilderKind) -> None:
    request = _request(builds, builder)
    ran = builds.run(request)
    with RegistryClient(RegistryAccess()) as registry:
        repository = parse_reference(request.repository)
        tags = [tag for tag in registry.tags(repository) if not tag.startswith("sha256-")]
        assert tags == [request.tag]
        assert registry.resolve(f"{request.repository}:{request.tag}") == ran.result.digest
