"""Public keys of the platform: the file cosign.pub of the Secret with the signing key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

_PEM: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----")


@dataclass(frozen=True)
class PublicKeys:
    """ECDSA keys; a signature of any one of them counts. No key verifies nothing."""

    keys: tuple[ec.EllipticCurvePublicKey, ...]

    def verifies(self, data: bytes, signature: bytes) -> bool:
        """Return whether one of the keys made the signature (ECDSA over SHA-256) of the data."""
        return any(_verifies(key, data, signature) for key in self.keys)


def load_public_keys(path: Path) -> PublicKeys:
    """Return the keys in a PEM file with one or more blocks `PUBLIC KEY`.

    A file that does not exist has no keys, and a block that is no ECDSA key is skipped.
    """
    try:
        blocks = _PEM.findall(path.read_bytes())
    except OSError:
        return PublicKeys(())
    return PublicKeys(tuple(key for block in blocks if (key := _load(block)) is not None))


def _load(block: bytes) -> ec.EllipticCurvePublicKey | None:
    try:
        key = load_pem_public_key(block)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePublicKey) else None


def _verifies(key: ec.EllipticCurvePublicKey, data: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, data, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True
