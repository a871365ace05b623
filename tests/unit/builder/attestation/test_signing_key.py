from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from nacl.secret import SecretBox

from modelyard.builder.attestation.bundle import bundle
from modelyard.builder.attestation.signing_key import (
    KEY,
    PASSWORD,
    KeySigner,
    load_signer,
)
from modelyard.contract.errors import SigningKeyInvalidError


def _der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _sealed(key: ec.EllipticCurvePrivateKey, password: bytes, **changed: Any) -> bytes:
    """What `cosign generate-key-pair` writes; tests/integration has one that cosign itself wrote."""
    params = {"N": 32768, "r": 8, "p": 1} | changed
    salt, nonce = b"s" * 32, b"n" * 24
    secret = hashlib.scrypt(password, salt=salt, n=32768, r=8, p=1, maxmem=2**27, dklen=32)
    whole = {
        "kdf": {"name": "scrypt", "params": params, "salt": base64.b64encode(salt).decode()},
        "cipher": {"name": "nacl/secretbox", "nonce": base64.b64encode(nonce).decode()},
        "ciphertext": base64.b64encode(SecretBox(secret).encrypt(_der(key), nonce).ciphertext).decode(),
    }
    text = base64.encodebytes(json.dumps(whole).encode()).decode()
    kind = "ENCRYPTED SIGSTORE PRIVATE KEY"
    return f"-----BEGIN {kind}-----\n{text}-----END {kind}-----\n".encode()


@pytest.fixture
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _mounted(folder: Path, pem: bytes, password: bytes | None = None) -> Path:
    (folder / KEY).write_bytes(pem)
    if password is not None:
        (folder / PASSWORD).write_bytes(password)
    return folder


def _verify(signer: KeySigner, key: ec.EllipticCurvePrivateKey) -> None:
    key.public_key().verify(signer.sign(b"data"), b"data", ec.ECDSA(SHA256()))


def test_cosigns_encrypted_key(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    _verify(load_signer(_mounted(tmp_path, _sealed(key, b"hunter2"), b"hunter2")), key)


def test_cosigns_key_without_a_password(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    _verify(load_signer(_mounted(tmp_path, _sealed(key, b""))), key)


def test_openssls_key(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    _verify(load_signer(_mounted(tmp_path, plain)), key)
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hunter2"))
    _verify(load_signer(_mounted(tmp_path, encrypted, b"hunter2")), key)


def _bad_keys() -> dict[str, tuple[bytes, bytes | None, str]]:
    key = ec.generate_private_key(ec.SECP256R1())
    form = (Encoding.PEM, PrivateFormat.PKCS8)
    encrypted = key.private_bytes(*form, BestAvailableEncryption(b"hunter2"))
    others = [
        rsa.generate_private_key(65537, 2048).private_bytes(*form, NoEncryption()),
        ec.generate_private_key(ec.SECP384R1()).private_bytes(*form, NoEncryption()),
    ]
    return {
        "no key": (b"hunter2", None, "is not a private key"),
        "sealed with another password": (_sealed(key, b"hunter2"), b"other", "is not a private key"),
        "sealed to cost all memory": (_sealed(key, b"", N=2**30), b"", "is not a private key"),
        "not sealed at all": (b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\ne30=\n", b"", "is not a"),
        "encrypted, no password": (encrypted, None, "is not a private key"),
        "rsa": (others[0], None, "no ECDSA key on the curve P-256"),
        "another curve": (others[1], None, "no ECDSA key on the curve P-256"),
    }


@pytest.mark.parametrize(("pem", "password", "message"), _bad_keys().values(), ids=_bad_keys())
def test_what_is_no_key(tmp_path: Path, pem: bytes, password: bytes | None, message: str) -> None:
    with pytest.raises(SigningKeyInvalidError, match=message) as refused:
        load_signer(_mounted(tmp_path, pem, password))
    assert "hunter2" not in str(refused.value)


def test_a_secret_without_a_key(tmp_path: Path) -> None:
    with pytest.raises(SigningKeyInvalidError, match=r"cosign\.key cannot be read"):
        load_signer(tmp_path)


def test_a_key_does_not_show_itself(signer: KeySigner) -> None:
    assert "key" not in repr(signer)


def test_a_bundle_holds_the_statement_and_its_signature(signer: KeySigner) -> None:
    statement = b'{"_type":"x"}'
    envelope = json.loads(bundle(statement, signer))["dsseEnvelope"]
    assert base64.b64decode(envelope["payload"]) == statement
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    signed = b"DSSEv1 28 application/vnd.in-toto+json 13 " + statement
    signer.key.public_key().verify(signature, signed, ec.ECDSA(SHA256()))
    with pytest.raises(InvalidSignature):
        signer.key.public_key().verify(signature, statement, ec.ECDSA(SHA256()))


def test_the_same_statement_has_the_same_bundle(signer: KeySigner) -> None:
    assert bundle(b"{}", signer) == bundle(b"{}", signer)
