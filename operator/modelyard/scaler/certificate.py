"""The certificate of the custom metrics API, in a Secret that all replicas of the scaler share.

The scaler makes a certificate for itself, unless cert-manager or a user fills the Secret. It writes the
authority into the APIServices, so that the API server trusts the certificate.
"""

from __future__ import annotations

import base64
import datetime as dt
import logging
from collections.abc import Sequence
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from modelyard.contract.custom_metrics import GROUP, VERSIONS
from modelyard.kube.client import Client
from modelyard.kube.errors import Conflict
from modelyard.kube.transport import JSON
from modelyard.kube.types import API_SERVICES, SECRETS, Json

LIFE: Final = dt.timedelta(days=365)
RENEW_BEFORE: Final = dt.timedelta(days=120)
_CLOCK_SKEW: Final = dt.timedelta(hours=1)

_LOG: Final = logging.getLogger(__name__)


class Certificate(NamedTuple):
    """A certificate with its key and the authorities that clients must trust, all in PEM."""

    certificate: bytes
    key: bytes
    authorities: bytes
    """Empty: those of the system."""


class CertificateMissingError(Exception):
    """The Secret has no certificate. The message names the Secret and the way out."""


class CertificateSecret:
    """Reads the certificate from its Secret, and makes it if the scaler has to."""

    def __init__(
        self, client: Client, namespace: str, secret: str, names: Sequence[str], *, creates: bool
    ) -> None:
        """`names` are the DNS names of the certificate."""
        self._client = client
        self._namespace = namespace
        self._secret = secret
        self._names = names
        self._creates = creates

    async def read(self, now: dt.datetime) -> Certificate:
        """Return the certificate. Make it first if it is absent or near its end.

        Raises KubeError, CertificateMissingError, and ValueError if the Secret has no valid data.
        """
        body = await self._client.get(SECRETS, self._namespace, self._secret)
        found = _decode(body)
        if self._creates and (found is None or _ends_soon(found, now)):
            return await self._renew(body, found, now)
        if found is None:
            message = (
                f"Secret {self._namespace}/{self._secret} has no tls.crt and tls.key: wait for"
                " cert-manager, or set scaling.tls of the chart"
            )
            raise CertificateMissingError(message)
        return found

    async def _renew(self, body: Json, old: Certificate | None, now: dt.datetime) -> Certificate:
        """Write a new certificate. The old one stays trusted: other replicas still serve it."""
        made = make_certificate(self._names, now)
        new = made._replace(authorities=made.certificate + (old.certificate if old else b""))
        version = {"resourceVersion": body["metadata"]["resourceVersion"]}
        try:
            await self._client.patch(
                SECRETS, self._namespace, self._secret, {"metadata": version, "data": _encode(new)}
            )
        except Conflict:  # another replica was faster
            written = _decode(await self._client.get(SECRETS, self._namespace, self._secret))
            if written is None:
                raise
            return written
        _LOG.info("made a new certificate in Secret %s/%s", self._namespace, self._secret)
        return new


def make_certificate(names: Sequence[str], now: dt.datetime) -> Certificate:
    """Return a new certificate that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Certificate(pem, private, pem)


async def trust(client: Client, authorities: bytes) -> None:
    """Write the authorities into the APIServices of custom metrics, if they differ. Raises KubeError."""
    bundle = base64.b64encode(authorities).decode()
    for version in VERSIONS:
        name = f"{version}.{GROUP}"
        body = await client.get(API_SERVICES, None, name)
        if body["spec"].get("caBundle", "") != bundle:
            version_read = {"resourceVersion": body["metadata"]["resourceVersion"]}
            patch = {"metadata": version_read, "spec": {"caBundle": bundle or None}}
            await client.patch(API_SERVICES, None, name, patch, accept=JSON)
            _LOG.info("APIService %s trusts the certificate of the scaler", name)


def _ends_soon(certificate: Certificate, now: dt.datetime) -> bool:
    parsed = x509.load_pem_x509_certificate(certificate.certificate)
    return parsed.not_valid_after_utc - now < RENEW_BEFORE


def _decode(secret: Json) -> Certificate | None:
    data = {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
    certificate, key = data.get("tls.crt"), data.get("tls.key")
    return Certificate(certificate, key, data.get("ca.crt", b"")) if certificate and key else None


def _encode(certificate: Certificate) -> Json:
    data = {
        "tls.crt": certificate.certificate,
        "tls.key": certificate.key,
        "ca.crt": certificate.authorities,
    }
    return {key: base64.b64encode(value).decode() for key, value in data.items()}
