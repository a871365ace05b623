"""The certificate of the custom metrics API, and the trust of the API server in it."""

from __future__ import annotations

import base64
import datetime as dt
import ssl

import pytest
from tests.unit.scaler.fake_kube import FakeTransport

from modelyard.kube.types import API_SERVICES, SECRETS
from modelyard.scaler.certificate import (
    LIFE,
    CertificateMissingError,
    CertificateSecret,
    make_certificate,
    trust,
)

NOW = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
NAMES = ["modelyard-scaler.ns.svc", "modelyard-scaler.ns.svc.cluster.local"]
PATH = SECRETS.path("ns", "tls")


def cluster() -> FakeTransport:
    return FakeTransport({PATH: {"metadata": {"resourceVersion": "1"}}})


def secret(transport: FakeTransport, *, creates: bool = True) -> CertificateSecret:
    return CertificateSecret(transport.client, "ns", "tls", NAMES, creates=creates)


async def test_replicas_of_the_scaler_share_one_certificate() -> None:
    transport = cluster()
    made = await secret(transport).read(NOW)
    assert await secret(transport).read(NOW) == made
    assert made.authorities == made.certificate
    assert [request.method for request in transport.requests] == ["GET", "PATCH", "GET"]


async def test_slower_replica_takes_the_certificate_of_the_faster_one() -> None:
    transport = cluster()
    slow = secret(transport)
    body = dict(transport.objects[PATH])
    fast = await secret(transport).read(NOW)
    assert await slow._renew(body, None, NOW) == fast


async def test_renewed_certificate_is_trusted_beside_the_old_one() -> None:
    transport = cluster()
    old = await secret(transport).read(NOW)
    assert await secret(transport).read(NOW + dt.timedelta(days=244)) == old
    new = await secret(transport).read(NOW + dt.timedelta(days=246))
    assert new.certificate != old.certificate
    assert new.authorities == new.certificate + old.certificate


async def test_certificate_of_a_user_is_neither_made_nor_renewed() -> None:
    transport = cluster()
    with pytest.raises(CertificateMissingError, match=r"Secret ns/tls has no tls\.crt"):
        await secret(transport, creates=False).read(NOW)
    theirs = await secret(transport).read(NOW)
    assert await secret(transport, creates=False).read(NOW + LIFE) == theirs


async def test_api_services_trust_the_authorities_after_one_write_each() -> None:
    paths = [
        API_SERVICES.path(None, f"{version}.custom.metrics.k8s.io") for version in ("v1beta1", "v1beta2")
    ]
    transport = FakeTransport({path: {"metadata": {"resourceVersion": "1"}, "spec": {}} for path in paths})
    for _ in range(2):
        await trust(transport.client, b"PEM")
    for path in paths:
        assert transport.objects[path]["spec"] == {"caBundle": base64.b64encode(b"PEM").decode()}
    assert [request.method for request in transport.requests].count("PATCH") == 2


def test_client_that_trusts_the_certificate_connects() -> None:
    made = make_certificate(NAMES, dt.datetime.now(dt.UTC))
    context = ssl.create_default_context(cadata=made.authorities.decode())
    assert context.get_ca_certs()[0]["subjectAltName"] == tuple(("DNS", name) for name in NAMES)
