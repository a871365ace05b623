"""Configuration of the access to registries."""

from __future__ import annotations

import json
import os
import ssl
from pathlib import Path

import pytest
import trustme
from tests.support.web_server import (
    Response,
    WebServer,
)

from modelyard.oci import RegistryClient
from modelyard.oci.errors import RegistryForbiddenError, RegistryUnavailableError
from modelyard.oci.registry_config import (
    Credential,
    RegistryAccess,
    credential_of,
    tls_context,
)
from modelyard.retry import Retry

DIGEST = "sha256:" + "a" * 64


def test_only_insecure_and_loopback_registries_use_plain_http() -> None:
    access = RegistryAccess(
        insecure=frozenset({"plain.example:5000"}), aliases={"hub.example": "plain.example:5000"}
    )
    assert access.base_url("hub.example") == "http://plain.example:5000"
    assert access.base_url("other.example") == "https://other.example"
    assert access.base_url("localhost:5001") == "http://localhost:5001"
    assert access.base_url("docker.io") == "https://registry-1.docker.io"


def test_client_connects_to_the_alias(web: WebServer, retry: Retry) -> None:
    web.respond = lambda _: Response(headers={"Docker-Content-Digest": DIGEST})
    with RegistryClient(RegistryAccess(aliases={"hub.example": web.address}), retry=retry) as registry:
        assert registry.resolve("hub.example/x:1") == DIGEST


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("r.example", "r.example"),
        ("https://r.example/v2/", "r.example"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("localhost:5001", "localhost:5001"),
    ],
)
def test_dockerconfigjson_key_may_have_scheme_and_path(key: str, registry: str) -> None:
    config = json.dumps({"auths": {"a.example": {}, key: {"username": "me", "password": "p"}}})
    assert credential_of(config, registry) == Credential("me", "p")
    assert credential_of(config, "elsewhere.example") is None


@pytest.mark.parametrize(
    "config", ["", "[]", "{}", '{"auths": {"r": 1}}', '{"auths": {"r": {"auth": "s3cret"}}}']
)
def test_invalid_dockerconfigjson_is_refused_without_its_content(config: str) -> None:
    with pytest.raises(RegistryForbiddenError, match="not a dockerconfigjson") as failure:
        credential_of(config, "r")
    assert "s3cret" not in str(failure.value)


def write_bundle(path: Path, authority: trustme.CA, modified: int) -> None:
    """Write the certificate of an authority, with a modification time in seconds."""
    path.write_bytes(authority.cert_pem.bytes())
    os.utime(path, (modified, modified))


def test_rotated_ca_bundle_is_trusted_without_a_restart(tmp_path: Path) -> None:
    old, new = trustme.CA(), trustme.CA()
    settings = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    new.issue_cert("127.0.0.1", "localhost").configure_cert(settings)
    server = WebServer(settings)
    server.respond = lambda _: Response(headers={"Docker-Content-Digest": DIGEST})
    port = server.address.rpartition(":")[2]
    bundle = tmp_path / "ca.crt"
    write_bundle(bundle, old, 1)
    # The client compares names of loopback registries in lower case only, so it uses TLS here.
    access = RegistryAccess(aliases={"r.example": f"LOCALHOST:{port}"}, ca_bundle=bundle)
    try:
        with RegistryClient(access, retry=Retry(attempts=1)) as registry:
            with pytest.raises(RegistryUnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
                registry.resolve("r.example/x:1")
            write_bundle(bundle, new, 2)
            assert registry.resolve("r.example/x:1") == DIGEST
    finally:
        server.stop()


def test_tls_context_of_an_unchanged_bundle_is_shared(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.crt"
    write_bundle(bundle, trustme.CA(), 1)
    assert tls_context(bundle) is tls_context(bundle)
    assert tls_context(None) is tls_context(None)


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_unreadable_ca_bundle_is_a_transient_error(tmp_path: Path, content: bytes | None) -> None:
    bundle = tmp_path / "ca.crt"
    if content:
        bundle.write_bytes(content)
    with pytest.raises(RegistryUnavailableError, match="cannot be read"):
        tls_context(bundle)


def test_repr_of_a_credential_hides_its_secrets() -> None:
    assert "s3cret" not in repr(Credential("me", "s3cret", "s3cret"))
