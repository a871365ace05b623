"""The key that signs images, from a Secret that `cosign generate-key-pair k8s://NAMESPACE/NAME` creates."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from modelyard.contract.errors import SigningKeyInvalidError
from modelyard.signatures.public_keys import PublicKeys

KEY: Final = "cosign.key"
PASSWORD: Final = "cosign.password"  # noqa: S105 - the name of a file

_ENCRYPTED_LABELS: Final = (b"ENCRYPTED SIGSTORE PRIVATE KEY", b"ENCRYPTED COSIGN PRIVATE KEY")
_SCRYPT: Final = ((2**15, 8, 1), (2**16, 8, 1), (2**17, 8, 1))
"""N, r and p of the package `encrypted` of go-securesystemslib. Other values could exhaust the memory."""


@dataclass(frozen=True)
class KeySigner:
    """A Signer with ECDSA on P-256 over SHA-256. Equal data has equal signatures (RFC 6979)."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def hint(self) -> str:
        """Return the hash of the public key, which cosign uses as identifier."""
        public = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(hashlib.sha256(public).digest()).decode()

    def sign(self, data: bytes) -> bytes:
        """Return the signature of the data."""
        return self.key.sign(data, ec.ECDSA(SHA256(), deterministic_signing=True))

    def verifies(self, data: bytes, signature: bytes) -> bool:
        """Return whether this key made the signature of the data."""
        return PublicKeys((self.key.public_key(),)).verifies(data, signature)


def load_signer(folder: Path) -> KeySigner:
    """Return the signer for a mounted Secret.

    Its file KEY is the key, PASSWORD the password of an encrypted key. Accepts cosign's encrypted format, and
    PEM of openssl. Raises SigningKeyInvalidError, whose message contains nothing of the files.
    """
    try:
        pem = (folder / KEY).read_bytes()
        password = (folder / PASSWORD).read_bytes() if (folder / PASSWORD).exists() else None
    except OSError as error:
        raise SigningKeyInvalidError(f"{KEY} cannot be read: {error.strerror}") from None
    try:
        key = (
            _decrypt_cosign_key(pem, password or b"")
            if _is_cosign_format(pem)
            else load_pem_private_key(pem, password)
        )
    except (ValueError, KeyError, TypeError, UnsupportedAlgorithm, CryptoError):
        raise SigningKeyInvalidError(
            f"{KEY} is not a private key, or {PASSWORD} does not decrypt it"
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SigningKeyInvalidError(f"{KEY} is not an ECDSA key on the curve P-256, the default of cosign")
    return KeySigner(key)


def _is_cosign_format(pem: bytes) -> bool:
    return any(b"-----BEGIN %s-----" % label in pem for label in _ENCRYPTED_LABELS)


def _decrypt_cosign_key(pem: bytes, password: bytes) -> Any:
    """Return the PKCS #8 key in cosign's encrypted format.

    https://pkg.go.dev/github.com/secure-systems-lab/go-securesystemslib/encrypted
    """
    lines = [line for line in pem.splitlines() if line and not line.startswith(b"-----")]
    encrypted = json.loads(base64.b64decode(b"".join(lines)))
    kdf = encrypted["kdf"]
    params = (kdf["params"]["N"], kdf["params"]["r"], kdf["params"]["p"])
    if params not in _SCRYPT or (kdf["name"], encrypted["cipher"]["name"]) != ("scrypt", "nacl/secretbox"):
        raise ValueError("an unknown key derivation or cipher")
    n, r, p = params
    salt = base64.b64decode(kdf["salt"])
    secret = hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, maxmem=2 * 128 * n * r, dklen=32)
    nonce = base64.b64decode(encrypted["cipher"]["nonce"])
    der = SecretBox(secret).decrypt(base64.b64decode(encrypted["ciphertext"]), nonce)
    return load_der_private_key(der, None)
