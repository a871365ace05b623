"""Signing keys in the formats of cosign and openssl."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from nacl.secret import SecretBox

from modelyard.builder.attestation.signing_key import (
    KEY,
    PASSWORD,
    KeySigner,
    load_signer,
)
from modelyard.contract.errors import SigningKeyInvalidError


def _der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _cosign_key(key: ec.EllipticCurvePrivateKey, password: bytes, **changed: Any) -> bytes:
    """Return a key in the format of cosign. An integration test uses a key that cosign made."""
    params = {"N": 32768, "r": 8, "p": 1} | changed
    salt, nonce = b"s" * 32, b"n" * 24
    secret = hashlib.scrypt(password, salt=salt, n=32768, r=8, p=1, maxmem=2**27, dklen=32)
    content = {
        "kdf": {"name": "scrypt", "params": params, "salt": base64.b64encode(salt).decode()},
        "cipher": {"name": "nacl/secretbox", "nonce": base64.b64encode(nonce).decode()},
        "ciphertext": base64.b64encode(SecretBox(secret).encrypt(_der(key), nonce).ciphertext).decode(),
    }
    text = base64.encodebytes(json.dumps(content).encode()).decode()
    label = "ENCRYPTED SIGSTORE PRIVATE KEY"
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n".encode()


@pytest.fixture
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _mount(folder: Path, pem: bytes, password: bytes | None = None) -> Path:
    (folder / KEY).write_bytes(pem)
    if password is not None:
        (folder / PASSWORD).write_bytes(password)
    return folder


def _verify(signer: KeySigner, key: ec.EllipticCurvePrivateKey) -> None:
    key.public_key().verify(signer.sign(b"data"), b"data", ec.ECDSA(SHA256()))


def test_encrypted_key_of_cosign_signs(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    _verify(load_signer(_mount(tmp_path, _cosign_key(key, b"hunter2"), b"hunter2")), key)


def test_key_of_cosign_without_a_password_signs(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    _verify(load_signer(_mount(tmp_path, _cosign_key(key, b""))), key)


def test_key_of_openssl_signs(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    _verify(load_signer(_mount(tmp_path, plain)), key)
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hunter2"))
    _verify(load_signer(_mount(tmp_path, encrypted, b"hunter2")), key)


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
        "encrypted with another password": (_cosign_key(key, b"hunter2"), b"other", "is not a private key"),
        "excessive scrypt parameters": (_cosign_key(key, b"", N=2**30), b"", "is not a private key"),
        "cosign label without content": (
            b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\ne30=\n",
            b"",
            "is not a",
        ),
        "missing password": (encrypted, None, "is not a private key"),
        "rsa": (others[0], None, "not an ECDSA key on the curve P-256"),
        "another curve": (others[1], None, "not an ECDSA key on the curve P-256"),
    }


@pytest.mark.parametrize(("pem", "password", "message"), _bad_keys().values(), ids=_bad_keys())
def test_unusable_key_is_refused_without_its_content(
    tmp_path: Path, pem: bytes, password: bytes | None, message: str
) -> None:
    with pytest.raises(SigningKeyInvalidError, match=message) as refused:
        load_signer(_mount(tmp_path, pem, password))
    assert "hunter2" not in str(refused.value)


def test_secret_without_a_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SigningKeyInvalidError, match=r"cosign\.key cannot be read"):
        load_signer(tmp_path)


def test_repr_of_a_signer_hides_the_key(signer: KeySigner) -> None:
    assert "key" not in repr(signer)
