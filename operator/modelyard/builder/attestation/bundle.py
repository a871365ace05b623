"""A signed statement in the form that Sigstore's tools read: a DSSE envelope in a bundle.

Without Sigstore's services: a key signs, no log has to be reached. https://github.com/secure-systems-lab/dsse,
https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto.
"""

from __future__ import annotations

import base64
import json
from typing import Final, Protocol

from modelyard.builder.attestation.provenance import MEDIA_TYPE as STATEMENT

MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIGNATURE_TYPE: Final = "https://sigstore.dev/cosign/sign/v1"
"""Predicate type of a statement that says no more than: this image is ours."""


class Signer(Protocol):
    """Who holds the private key."""

    @property
    def hint(self) -> str:
        """Which key it is; not secret."""

    def sign(self, data: bytes) -> bytes:
        """The signature of the data."""


def bundle(statement: bytes, signer: Signer) -> bytes:
    """The statement, signed. Equal statements have equal bundles if the signer's signatures are."""
    kind = STATEMENT.encode()
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(statement), statement)
    envelope = {
        "payload": _text(statement),
        "payloadType": STATEMENT,
        "signatures": [{"sig": _text(signer.sign(signed))}],
    }
    whole = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": signer.hint}},
        "dsseEnvelope": envelope,
    }
    return json.dumps(whole, separators=(",", ":")).encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
