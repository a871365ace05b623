"""Signed statements in the format of Sigstore's tools: a DSSE envelope in a bundle.

A key signs, so that the builder needs no service of Sigstore. https://github.com/secure-systems-lab/dsse,
https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto.
"""

from __future__ import annotations

import base64
import json
from typing import Final, Protocol

from modelyard.signatures.envelope import BUNDLE_TYPE, STATEMENT_TYPE, signed_bytes

SIGNATURE_TYPE: Final = "https://sigstore.dev/cosign/sign/v1"
"""Predicate type of a statement without content: it only states that the signer published the image."""


class Signer(Protocol):
    """The owner of a private key."""

    @property
    def hint(self) -> str:
        """Return a public identifier of the key."""

    def sign(self, data: bytes) -> bytes:
        """Return the signature of the data."""

    def verifies(self, data: bytes, signature: bytes) -> bool:
        """Return whether this key made the signature of the data."""


def bundle(statement: bytes, signer: Signer) -> bytes:
    """Return the bundle with a statement and its signature. Its bytes depend on both only."""
    signed = signed_bytes(STATEMENT_TYPE, statement)
    envelope = {
        "payload": _base64(statement),
        "payloadType": STATEMENT_TYPE,
        "signatures": [{"sig": _base64(signer.sign(signed))}],
    }
    content = {
        "mediaType": BUNDLE_TYPE,
        "verificationMaterial": {"publicKey": {"hint": signer.hint}},
        "dsseEnvelope": envelope,
    }
    return json.dumps(content, separators=(",", ":")).encode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
