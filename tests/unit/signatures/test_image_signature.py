"""The check of a signature before an image of the registry is reused."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.unit.oci.fake_registry import FakeRegistry, digest_of

from modelyard.builder.attestation.attach import Attachment, attach, manifest
from modelyard.builder.attestation.build_record import BuildRecord
from modelyard.builder.attestation.signing_key import KeySigner
from modelyard.contract.build_request import BuildRequest
from modelyard.oci import RegistryClient
from modelyard.oci.media_types import OCI_MANIFEST
from modelyard.oci.reference import Reference
from modelyard.oci.registry_config import RegistryAccess
from modelyard.signatures.envelope import BUNDLE_TYPE, PREDICATE_ANNOTATION
from modelyard.signatures.image_signature import MAX_BUNDLES, is_signed
from modelyard.signatures.public_keys import PublicKeys, load_public_keys

BODY = b'{"layers": []}'
OTHER_BODY = b'{"layers": [], "of": "other inputs"}'
PATH, TAG = "modelyard/team/m", "a" * 64

Images = Callable[..., Reference]


def _signer() -> KeySigner:
    return KeySigner(ec.generate_private_key(ec.SECP256R1()))


def _pem(signer: KeySigner) -> bytes:
    return signer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


SIGNER, STRANGER = _signer(), _signer()
KEYS = PublicKeys((SIGNER.key.public_key(),))


@pytest.fixture
def client() -> Iterator[RegistryClient]:
    with RegistryClient(RegistryAccess()) as client:
        yield client


@pytest.fixture
def images(fake: FakeRegistry, client: RegistryClient) -> Images:
    """Push an image with attestations, and return its reference."""

    def push(signer: KeySigner | None, *, path: str = PATH, tag: str = TAG, body: bytes = BODY) -> Reference:
        image = Reference(fake.address, path, tag)
        request = BuildRequest(
            repository=f"{fake.address}/{path}",
            tag=tag,
            base_image="b",
            driver="d",
            models=(),
            assets=(),
        )
        record = BuildRecord(request, "layers", (), ())
        attach(client, image, _descriptor(body), record, signer)
        client.put_manifest(image, body, OCI_MANIFEST, tag=tag)
        return image

    return push


def _descriptor(body: bytes) -> dict[str, Any]:
    return {"mediaType": OCI_MANIFEST, "digest": digest_of(body), "size": len(body)}


def _attach_bundle(client: RegistryClient, image: Reference, bundle: bytes, body: bytes = BODY) -> None:
    document = Attachment(BUNDLE_TYPE, bundle, {PREDICATE_ANNOTATION: "https://slsa.dev/provenance/v1"})
    client.upload_bytes(image, b"{}")
    client.upload_bytes(image, bundle)
    client.put_referrers(image, [manifest(_descriptor(body), document)], OCI_MANIFEST)


def _bundles(fake: FakeRegistry) -> list[bytes]:
    return [blob for blob in fake.blobs.values() if b"dsseEnvelope" in blob]


def test_image_that_a_build_signed_is_signed(client: RegistryClient, images: Images) -> None:
    assert is_signed(client, images(SIGNER), digest_of(BODY), KEYS)


def test_moved_registry_has_signed_images(client: RegistryClient, images: Images, fake: FakeRegistry) -> None:
    image = images(SIGNER)
    moved = Reference(fake.address.replace("127.0.0.1", "localhost"), image.repository, image.tag)
    assert is_signed(client, moved, digest_of(BODY), KEYS)


def test_image_without_a_signature_is_not_signed(client: RegistryClient, images: Images) -> None:
    assert not is_signed(client, images(None), digest_of(BODY), KEYS)


def test_signature_of_another_key_does_not_count(client: RegistryClient, images: Images) -> None:
    image = images(STRANGER)
    assert not is_signed(client, image, digest_of(BODY), KEYS)
    assert is_signed(client, image, digest_of(BODY), PublicKeys((*KEYS.keys, STRANGER.key.public_key())))
    assert not is_signed(client, image, digest_of(BODY), PublicKeys(()))


def test_genuine_image_under_the_tag_of_other_inputs_does_not_count(
    client: RegistryClient, images: Images
) -> None:
    other = images(SIGNER).tagged("b" * 64)
    client.put_manifest(other, BODY, OCI_MANIFEST, tag=other.tag)
    assert not is_signed(client, other, digest_of(BODY), KEYS)


def test_genuine_image_of_another_repository_does_not_count(client: RegistryClient, images: Images) -> None:
    images(SIGNER, path="modelyard/other/m")
    copy = images(None)
    for bundle in _bundles_of(client, copy.with_repository("modelyard/other/m")):
        _attach_bundle(client, copy, bundle)
    assert not is_signed(client, copy, digest_of(BODY), KEYS)


def test_bundle_of_another_digest_does_not_count(
    client: RegistryClient, images: Images, fake: FakeRegistry
) -> None:
    image = images(SIGNER)
    client.put_manifest(image, OTHER_BODY, OCI_MANIFEST, tag=image.tag)
    for bundle in _bundles(fake):
        _attach_bundle(client, image, bundle, OTHER_BODY)
    assert not is_signed(client, image, digest_of(OTHER_BODY), KEYS)


def _bundles_of(client: RegistryClient, repository: Reference) -> list[bytes]:
    found = client.referrers(repository, digest_of(BODY), BUNDLE_TYPE)
    layers = [client.manifest(repository.at(item["digest"]))[0]["layers"][0]["digest"] for item in found]
    return [client.blob_bytes(repository, layer) for layer in layers]


def _changed(bundle: bytes, **envelope: Any) -> bytes:
    content = json.loads(bundle)
    return json.dumps({**content, "dsseEnvelope": content["dsseEnvelope"] | envelope}).encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda bundle: _changed(bundle, payload=base64.b64encode(b"{}").decode()),
        lambda bundle: _changed(bundle, payload="*"),
        lambda bundle: _changed(bundle, payload=None),
        lambda bundle: _changed(bundle, payloadType="text/plain"),
        lambda bundle: _changed(bundle, signatures=[]),
        lambda bundle: _changed(bundle, signatures=[{"sig": ""}]),
        lambda bundle: _changed(bundle, signatures={"sig": 1}),
        lambda _: b"[" * 100_000,
        lambda _: b"[]",
        lambda _: b"\xff",
    ],
)
def test_damaged_bundle_does_not_count(
    client: RegistryClient, images: Images, change: Callable[[bytes], bytes]
) -> None:
    genuine = _bundles_of(client, images(SIGNER, path="copied/from/here"))[0]
    image = images(None)
    _attach_bundle(client, image, change(genuine))
    assert not is_signed(client, image, digest_of(BODY), KEYS)


def test_flood_of_bundles_is_not_read(
    client: RegistryClient, images: Images, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = images(None)
    flood = [{"digest": f"sha256:{number:064x}"} for number in range(1000)]
    monkeypatch.setattr(client, "referrers", lambda *_: flood)
    before = len(fake.calls)
    assert not is_signed(client, image, digest_of(BODY), KEYS)
    assert len(fake.calls) - before == MAX_BUNDLES


def test_file_of_keys_may_have_several(tmp_path: Path) -> None:
    file = tmp_path / "cosign.pub"
    file.write_bytes(b"old\n" + _pem(STRANGER) + _pem(SIGNER) + _pem(SIGNER).replace(b"M", b"-M-", 1))
    keys = load_public_keys(file)
    assert all(keys.verifies(b"x", signer.sign(b"x")) for signer in (SIGNER, STRANGER))
    assert not keys.verifies(b"x", _signer().sign(b"x"))
    assert not load_public_keys(tmp_path / "absent").keys
