"""Format of a signed statement: a DSSE envelope in a Sigstore bundle.

https://github.com/secure-systems-lab/dsse,
https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final, Protocol

BUNDLE_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
STATEMENT_TYPE: Final = "application/vnd.in-toto+json"
PROVENANCE_TYPE: Final = "https://slsa.dev/provenance/v1"
"""Predicate type of a statement with the provenance of an image."""
PREDICATE_ANNOTATION: Final = "dev.sigstore.bundle.predicateType"
"""Annotation of a referrer with the predicate type of its bundle."""


class Verifier(Protocol):
    """A set of public keys."""

    def verifies(self, data: bytes, signature: bytes) -> bool:
        """Return whether one of the keys made the signature of the data."""


def signed_bytes(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that the signature of an envelope covers.

    https://github.com/secure-systems-lab/dsse/blob/master/protocol.md#signature-definition
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def verified_statement(bundle: bytes, verifier: Verifier) -> dict[str, Any] | None:
    """Return the in-toto statement of a bundle, None unless a key of the verifier signed it."""
    try:
        envelope = json.loads(bundle)["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        signatures = [base64.b64decode(item["sig"], validate=True) for item in envelope["signatures"]]
        payload_type = envelope["payloadType"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    signed = signed_bytes(STATEMENT_TYPE, payload)
    if payload_type != STATEMENT_TYPE or not any(verifier.verifies(signed, item) for item in signatures):
        return None
    statement = json.loads(payload)
    return statement if isinstance(statement, dict) else None
