"""Configuration of the access to registries."""

from __future__ import annotations

import json

import pytest
from tests.support.web_server import (
    Response,
    WebServer,
)

from modelyard.oci import RegistryClient
from modelyard.oci.errors import RegistryForbiddenError
from modelyard.oci.registry_config import (
    Credential,
    RegistryAccess,
    credential_of,
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


def test_repr_of_a_credential_hides_its_secrets() -> None:
    assert "s3cret" not in repr(Credential("me", "s3cret", "s3cret"))
