from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest
from tests.support.web_server import (
    Answer,
    Asked,
    WebServer,
)

from modelyard.oci import RegistryClient
from modelyard.oci.errors import (
    ReferenceInvalidError,
    RegistryForbiddenError,
    RegistryRefusedError,
    RegistryUnavailableError,
)
from modelyard.oci.reference import (
    Reference,
    parse_reference,
)
from modelyard.oci.registry_config import (
    Credential,
    RegistryAccess,
    credential_of,
)
from modelyard.retry import Retry

DIGEST = "sha256:" + "a" * 64
FOUND = Answer(headers={"Docker-Content-Digest": DIGEST})
BASIC = "Basic " + base64.b64encode(b"me:s3cret").decode()


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("python", Reference("docker.io", "library/python")),
        ("python:3.11-slim", Reference("docker.io", "library/python", "3.11-slim")),
        ("docker.io/python", Reference("docker.io", "library/python")),
        ("me/image:1", Reference("docker.io", "me/image", "1")),
        ("localhost/image", Reference("localhost", "image")),
        ("localhost:5001/a/b:1", Reference("localhost:5001", "a/b", "1")),
        (f"r.example/a/b:1@{DIGEST}", Reference("r.example", "a/b", "1", DIGEST)),
    ],
)
def test_parse_reference(text: str, reference: Reference) -> None:
    assert parse_reference(text) == reference


@pytest.mark.parametrize(
    "text", ["", "r.example/", "r.example/A", "a b", "r.example/a:b:c", "r.example/a@sha256:1"]
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(ReferenceInvalidError, match="not the name of an image"):
        parse_reference(text)


def _resolve(web: WebServer, retry: Retry, access: RegistryAccess | None = None) -> str | None:
    with RegistryClient(access or RegistryAccess(), retry=retry) as registry:
        return registry.resolve(f"{web.address}/models/x:1")


def test_resolve_asks_for_the_digest_only(web: WebServer, retry: Retry) -> None:
    web.answer = lambda _: FOUND
    assert _resolve(web, retry) == DIGEST
    assert [(asked.method, asked.path) for asked in web.asked] == [("HEAD", "/v2/models/x/manifests/1")]


def test_resolve_computes_a_digest_that_is_not_given(web: WebServer, retry: Retry) -> None:
    web.answer = lambda _: Answer(body=b"{}")
    assert _resolve(web, retry) == "sha256:" + hashlib.sha256(b"{}").hexdigest()


def test_an_image_that_is_not_there(web: WebServer, retry: Retry) -> None:
    assert _resolve(web, retry) is None


def test_a_registry_that_recovers(web: WebServer, retry: Retry, waits: list[float]) -> None:
    answers = iter([Answer(503), Answer(429, headers={"Retry-After": "7"}), FOUND])
    web.answer = lambda _: next(answers)
    assert _resolve(web, retry) == DIGEST
    assert waits == [0.5, 7.0]


def test_a_registry_that_is_down(retry: Retry, waits: list[float]) -> None:
    with (
        RegistryClient(RegistryAccess(), retry=retry) as registry,
        pytest.raises(RegistryUnavailableError) as failure,
    ):
        registry.resolve("127.0.0.1:1/x:1")
    assert "127.0.0.1:1 cannot be reached" in str(failure.value)
    assert failure.value.transient
    assert len(waits) == 3


@pytest.mark.parametrize("status", [401, 403])
def test_a_registry_that_refuses(web: WebServer, retry: Retry, waits: list[float], status: int) -> None:
    web.answer = lambda _: Answer(status)
    with pytest.raises(RegistryForbiddenError, match=f"{web.address} answers {status}"):
        _resolve(web, retry)
    assert waits == []


def test_plain_http_must_be_asked_for() -> None:
    access = RegistryAccess(
        insecure=frozenset({"plain.example:5000"}), aliases={"hub.example": "plain.example:5000"}
    )
    assert access.base_url("hub.example") == "http://plain.example:5000"
    assert access.base_url("other.example") == "https://other.example"
    assert access.base_url("localhost:5001") == "http://localhost:5001"
    assert access.base_url("docker.io") == "https://registry-1.docker.io"


def test_an_alias_is_dialled(web: WebServer, retry: Retry) -> None:
    web.answer = lambda _: FOUND
    with RegistryClient(RegistryAccess(aliases={"hub.example": web.address}), retry=retry) as registry:
        assert registry.resolve("hub.example/x:1") == DIGEST


def _config(folder: Path, host: str) -> Path:
    path = folder / ".dockerconfigjson"
    path.write_text(json.dumps({"auths": {host: {"auth": base64.b64encode(b"me:s3cret").decode()}}}))
    return path


def test_basic_credentials_are_sent_when_asked_for(web: WebServer, retry: Retry, tmp_path: Path) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.headers.get("authorization") == BASIC:
            return FOUND
        return Answer(401, headers={"WWW-Authenticate": 'Basic realm="x"'})

    web.answer = answer
    assert _resolve(web, retry, RegistryAccess(config=_config(tmp_path, web.address))) == DIGEST
    assert "authorization" not in web.asked[0].headers


def test_the_bearer_token_flow(web: WebServer, other_web: WebServer, retry: Retry, tmp_path: Path) -> None:
    challenge = (
        f'Bearer realm="{other_web.url}/token?x=1",service="registry",scope="repository:models/x:pull"'
    )

    def answer(asked: Asked) -> Answer:
        if asked.headers.get("authorization") == "Bearer t0ken":
            return FOUND
        return Answer(401, headers={"WWW-Authenticate": challenge})

    web.answer = answer
    other_web.answer = lambda _: Answer(body=b'{"token": "t0ken"}')
    with RegistryClient(RegistryAccess(config=_config(tmp_path, web.address)), retry=retry) as registry:
        assert registry.resolve(f"{web.address}/models/x:1") == DIGEST
        assert registry.resolve(f"{web.address}/models/x:2") == DIGEST
    assert [asked.path for asked in other_web.asked] == [
        "/token?x=1&scope=repository%3Amodels%2Fx%3Apull&service=registry"
    ]
    assert other_web.asked[0].headers["authorization"] == BASIC


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, RegistryForbiddenError), (503, RegistryUnavailableError)],
    ids=["refuses", "down"],
)
def test_a_token_service_that_gives_none(
    web: WebServer, other_web: WebServer, retry: Retry, status: int, error: type[Exception]
) -> None:
    challenge = f'Bearer realm="{other_web.url}/token"'
    web.answer = lambda _: Answer(401, headers={"WWW-Authenticate": challenge})
    other_web.answer = lambda _: Answer(status)
    with pytest.raises(error):
        _resolve(web, retry)


def test_a_login_address_that_is_not_http(web: WebServer, retry: Retry) -> None:
    web.answer = lambda _: Answer(401, headers={"WWW-Authenticate": 'Bearer realm="file:///etc/passwd"'})
    with pytest.raises(RegistryRefusedError, match="token service with an unsafe address"):
        _resolve(web, retry)


def test_a_redirect_to_another_host_gets_no_credentials(
    web: WebServer, other_web: WebServer, retry: Retry
) -> None:
    def answer(asked: Asked) -> Answer:
        if "authorization" not in asked.headers:
            return Answer(401, headers={"WWW-Authenticate": "Basic"})
        return Answer(307, headers={"Location": f"{other_web.url}/store"})

    web.answer = answer
    other_web.answer = lambda _: Answer(body=b"blob")
    reference = Reference(web.address, "x")
    with (
        RegistryClient(RegistryAccess(), credential=Credential("me", "s3cret"), retry=retry) as registry,
        registry.open_blob(reference, DIGEST) as response,
    ):
        assert response.read() == b"blob"
    assert "authorization" not in other_web.asked[0].headers


def test_a_manifest_that_is_not_the_one_asked_for(web: WebServer, retry: Retry) -> None:
    web.answer = lambda _: Answer(body=b"{}")
    with (
        RegistryClient(RegistryAccess(), retry=retry) as registry,
        pytest.raises(RegistryRefusedError, match="digest"),
    ):
        registry.manifest(Reference(web.address, "x", digest=DIGEST))


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("r.example", "r.example"),
        ("https://r.example/v2/", "r.example"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("localhost:5001", "localhost:5001"),
    ],
)
def test_keys_of_a_dockerconfigjson(key: str, registry: str) -> None:
    config = json.dumps({"auths": {"a.example": {}, key: {"username": "me", "password": "p"}}})
    assert credential_of(config, registry) == Credential("me", "p")
    assert credential_of(config, "elsewhere.example") is None


@pytest.mark.parametrize(
    "config", ["", "[]", "{}", '{"auths": {"r": 1}}', '{"auths": {"r": {"auth": "s3cret"}}}']
)
def test_what_is_no_dockerconfigjson(config: str) -> None:
    with pytest.raises(RegistryForbiddenError, match="not a dockerconfigjson") as failure:
        credential_of(config, "r")
    assert "s3cret" not in str(failure.value)


def test_credentials_stay_out_of_representations() -> None:
    assert "s3cret" not in repr(Credential("me", "s3cret", "s3cret"))
