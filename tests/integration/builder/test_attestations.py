"""Attestations of images, found and verified by the tools of other projects."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.registry_images import RegistryImages, descriptor

from modelyard.builder.attestation.attach import attach
from modelyard.builder.attestation.build_record import (
    BuildRecord,
    build_record,
)
from modelyard.builder.attestation.bundle import Signer
from modelyard.builder.attestation.signing_key import (
    KeySigner,
    load_signer,
)
from modelyard.builder.environment.packages import Package
from modelyard.contract.build_request import (
    AssetInput,
    BuildRequest,
    ModelInput,
    Source,
)
from modelyard.oci import Descriptor

Cosign = Callable[..., subprocess.CompletedProcess[str]]
DIGEST = f"sha256:{'a' * 64}"
KEY = ("--key", "cosign.pub", "--insecure-ignore-tlog")


def _record(repository: str) -> BuildRecord:
    request = BuildRequest(
        repository=repository,
        tag="f" * 64,
        base_image="python:3.11-slim",
        driver="driver",
        models=(ModelInput(name="m", version=1, source=Source(url="https://models.example.com/m.joblib")),),
        assets=(AssetInput(id="driver", source=Source(content="def run(body): ...")),),
    )
    return build_record(
        request,
        builder="layers",
        base_digest=DIGEST,
        digests={"model m:1": DIGEST, "asset driver": DIGEST},
        packages=(Package("numpy", "2.3.1", digest=DIGEST),),
    )


def _publish(images: RegistryImages, signer: Signer | None) -> tuple[str, Descriptor]:
    """Publish an image as builds do: attach its attestations first, then tag it."""
    body = images.manifest("team/m")
    repository = images.repository("team/m")
    image = descriptor(body)
    record = _record(f"{repository.registry}/{repository.repository}")
    attach(images.registry, repository, image, record, signer)
    assert images.push("team/m", "1", body) == image
    return f"{repository.registry}/{repository.repository}:1", image


def _referrers(images: RegistryImages, image: Descriptor, kind: str) -> list[Descriptor]:
    return images.registry.referrers(images.repository("team/m"), image["digest"], kind)


def test_bill_of_materials_and_provenance_are_referrers_of_the_image(images: RegistryImages) -> None:
    _, image = _publish(images, None)
    repository = images.repository("team/m")
    documents = []
    for kind in ("application/vnd.cyclonedx+json", "application/vnd.in-toto+json"):
        (found,) = _referrers(images, image, kind)
        manifest, _ = images.registry.manifest(repository.at(found["digest"]))
        documents.append(json.loads(images.registry.blob_bytes(repository, manifest["layers"][0]["digest"])))
    bill, statement = documents
    assert "pkg:pypi/numpy@2.3.1" in {part.get("purl") for part in bill["components"]}
    assert f"sha256:{statement['subject'][0]['digest']['sha256']}" == image["digest"]


def test_repeated_attach_adds_no_referrer(images: RegistryImages, key_folder: Path) -> None:
    signer = load_signer(key_folder)
    _, image = _publish(images, signer)
    repository = images.repository("team/m")
    before = images.registry.referrers(repository, image["digest"])
    assert len(before) == 5
    attach(
        images.registry, repository, image, _record(f"{repository.registry}/{repository.repository}"), signer
    )
    after = images.registry.referrers(repository, image["digest"])
    assert {item["digest"] for item in after} == {item["digest"] for item in before}


def test_cosign_verifies_the_signature(images: RegistryImages, cosign: Cosign, key_folder: Path) -> None:
    reference, image = _publish(images, load_signer(key_folder))
    verified = cosign("verify", *KEY, reference)
    assert verified.returncode == 0, verified.stderr
    claims = {item["critical"]["type"]: item["critical"]["image"] for item in json.loads(verified.stdout)}
    assert claims["https://sigstore.dev/cosign/sign/v1"] == {"docker-manifest-digest": image["digest"]}


@pytest.mark.parametrize(
    ("kind", "predicate", "field"),
    [
        ("slsaprovenance1", "https://slsa.dev/provenance/v1", "buildDefinition"),
        ("cyclonedx", "https://cyclonedx.org/bom", "bomFormat"),
    ],
)
def test_cosign_verifies_the_attestations(
    images: RegistryImages, cosign: Cosign, key_folder: Path, kind: str, predicate: str, field: str
) -> None:
    reference, image = _publish(images, load_signer(key_folder))
    verified = cosign("verify-attestation", *KEY, "--type", kind, reference)
    assert verified.returncode == 0, verified.stderr
    statement = json.loads(base64.b64decode(json.loads(verified.stdout)["payload"]))
    assert statement["predicateType"] == predicate
    assert f"sha256:{statement['subject'][0]['digest']['sha256']}" == image["digest"]
    assert field in statement["predicate"]


def _another_key() -> KeySigner:
    return KeySigner(ec.generate_private_key(ec.SECP256R1()))


@pytest.mark.parametrize("signer", [None, _another_key()], ids=["unsigned", "another key"])
def test_cosign_refuses_an_image_without_a_signature_of_the_key(
    images: RegistryImages, cosign: Cosign, signer: Signer | None
) -> None:
    reference, _ = _publish(images, signer)
    refused = cosign("verify", *KEY, reference)
    assert refused.returncode != 0
    assert not refused.stdout
