"""Signed statements in Sigstore bundles."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from modelyard.builder.attestation.bundle import bundle
from modelyard.builder.attestation.signing_key import KeySigner


def test_bundle_contains_the_statement_and_its_signature(signer: KeySigner) -> None:
    statement = b'{"_type":"x"}'
    envelope = json.loads(bundle(statement, signer))["dsseEnvelope"]
    assert base64.b64decode(envelope["payload"]) == statement
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    signed = b"DSSEv1 28 application/vnd.in-toto+json 13 " + statement
    signer.key.public_key().verify(signature, signed, ec.ECDSA(SHA256()))
    with pytest.raises(InvalidSignature):
        signer.key.public_key().verify(signature, statement, ec.ECDSA(SHA256()))


def test_equal_statements_have_equal_bundles(signer: KeySigner) -> None:
    assert bundle(b"{}", signer) == bundle(b"{}", signer)
