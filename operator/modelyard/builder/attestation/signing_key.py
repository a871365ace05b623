"""The key that signs images, as `cosign generate-key-pair k8s://NAMESPACE/NAME` leaves it in a Secret."""

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

KEY: Final = "cosign.key"
PASSWORD: Final = "cosign.password"  # noqa: S105 - the name of a file

_SEALED: Final = (b"ENCRYPTED SIGSTORE PRIVATE KEY", b"ENCRYPTED COSIGN PRIVATE KEY")
_SCRYPT: Final = ((2**15, 8, 1), (2**16, 8, 1), (2**17, 8, 1))
"""N, r and p that go-securesystemslib's package `encrypted` knows; any others could ask for all memory."""


@dataclass(frozen=True)
class KeySigner:
    """Signs with ECDSA on P-256 over SHA-256, the same data always alike (RFC 6979)."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def hint(self) -> str:
        """See Signer: the hash of the public key, as cosign gives it."""
        public = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(hashlib.sha256(public).digest()).decode()

    def sign(self, data: bytes) -> bytes:
        """See Signer."""
        return self.key.sign(data, ec.ECDSA(SHA256(), deterministic_signing=True))


def load_signer(folder: Path) -> KeySigner:
    """The key of a mounted Secret: KEY, and PASSWORD when it is encrypted.

    Takes cosign's own encrypted form and PEM as openssl writes it. Raises SigningKeyInvalidError, which tells
    nothing of the content.
    """
    try:
        pem = (folder / KEY).read_bytes()
        password = (folder / PASSWORD).read_bytes() if (folder / PASSWORD).exists() else None
    except OSError as error:
        raise SigningKeyInvalidError(f"{KEY} cannot be read: {error.strerror}") from None
    try:
        key = _unsealed(pem, password or b"") if _is_sealed(pem) else load_pem_private_key(pem, password)
    except (ValueError, KeyError, TypeError, UnsupportedAlgorithm, CryptoError):
        raise SigningKeyInvalidError(f"{KEY} is not a private key that {PASSWORD} opens") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SigningKeyInvalidError(f"{KEY} is no ECDSA key on the curve P-256, cosign's default")
    return KeySigner(key)


def _is_sealed(pem: bytes) -> bool:
    return any(b"-----BEGIN %s-----" % kind in pem for kind in _SEALED)


def _unsealed(pem: bytes, password: bytes) -> Any:
    """https://pkg.go.dev/github.com/secure-systems-lab/go-securesystemslib/encrypted, PKCS #8 inside."""
    lines = [line for line in pem.splitlines() if line and not line.startswith(b"-----")]
    sealed = json.loads(base64.b64decode(b"".join(lines)))
    kdf = sealed["kdf"]
    params = (kdf["params"]["N"], kdf["params"]["r"], kdf["params"]["p"])
    if params not in _SCRYPT or (kdf["name"], sealed["cipher"]["name"]) != ("scrypt", "nacl/secretbox"):
        raise ValueError("an unknown form")
    n, r, p = params
    salt = base64.b64decode(kdf["salt"])
    secret = hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, maxmem=2 * 128 * n * r, dklen=32)
    nonce = base64.b64decode(sealed["cipher"]["nonce"])
    opened = SecretBox(secret).decrypt(base64.b64decode(sealed["ciphertext"]), nonce)
    return load_der_private_key(opened, None)
