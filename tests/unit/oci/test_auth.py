"""Authentication with registries."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from tests.support.web_server import (
    Request,
    Response,
    WebServer,
)

from modelyard.oci import RegistryClient
from modelyard.oci.errors import (
    RegistryForbiddenError,
    RegistryRefusedError,
    RegistryUnavailableError,
)
from modelyard.oci.reference import Reference
from modelyard.oci.registry_config import (
    Credential,
    RegistryAccess,
)
from modelyard.retry import Retry

DIGEST = "sha256:" + "a" * 64
FOUND = Response(headers={"Docker-Content-Digest": DIGEST})
BASIC = "Basic " + base64.b64encode(b"me:s3cret").decode()


def _resolve(web: WebServer, retry: Retry, access: RegistryAccess | None = None) -> str | None:
    with RegistryClient(access or RegistryAccess(), retry=retry) as registry:
        return registry.resolve(f"{web.address}/models/x:1")


def _config(folder: Path, host: str) -> Path:
    path = folder / ".dockerconfigjson"
    path.write_text(json.dumps({"auths": {host: {"auth": base64.b64encode(b"me:s3cret").decode()}}}))
    return path


def test_basic_credentials_follow_a_challenge(web: WebServer, retry: Retry, tmp_path: Path) -> None:
    def answer(request: Request) -> Response:
        if request.headers.get("authorization") == BASIC:
            return FOUND
        return Response(401, headers={"WWW-Authenticate": 'Basic realm="x"'})

    web.respond = answer
    assert _resolve(web, retry, RegistryAccess(config=_config(tmp_path, web.address))) == DIGEST
    assert "authorization" not in web.requests[0].headers


def test_bearer_token_is_requested_once(
    web: WebServer, other_web: WebServer, retry: Retry, tmp_path: Path
) -> None:
    challenge = (
        f'Bearer realm="{other_web.url}/token?x=1",service="registry",scope="repository:models/x:pull"'
    )

    def answer(request: Request) -> Response:
        if request.headers.get("authorization") == "Bearer t0ken":
            return FOUND
        return Response(401, headers={"WWW-Authenticate": challenge})

    web.respond = answer
    other_web.respond = lambda _: Response(body=b'{"token": "t0ken"}')
    with RegistryClient(RegistryAccess(config=_config(tmp_path, web.address)), retry=retry) as registry:
        assert registry.resolve(f"{web.address}/models/x:1") == DIGEST
        assert registry.resolve(f"{web.address}/models/x:2") == DIGEST
    assert [request.path for request in other_web.requests] == [
        "/token?x=1&scope=repository%3Amodels%2Fx%3Apull&service=registry"
    ]
    assert other_web.requests[0].headers["authorization"] == BASIC


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, RegistryForbiddenError), (503, RegistryUnavailableError)],
    ids=["refuses", "down"],
)
def test_error_of_the_token_service_is_raised(
    web: WebServer, other_web: WebServer, retry: Retry, status: int, error: type[Exception]
) -> None:
    challenge = f'Bearer realm="{other_web.url}/token"'
    web.respond = lambda _: Response(401, headers={"WWW-Authenticate": challenge})
    other_web.respond = lambda _: Response(status)
    with pytest.raises(error):
        _resolve(web, retry)


def test_response_without_a_token_is_refused(web: WebServer, other_web: WebServer, retry: Retry) -> None:
    web.respond = lambda _: Response(
        401, headers={"WWW-Authenticate": f'Bearer realm="{other_web.url}/token"'}
    )
    other_web.respond = lambda _: Response(body=b"{}")
    with pytest.raises(RegistryRefusedError, match=f"token service of {web.address} contains no token"):
        _resolve(web, retry)


def test_realm_that_is_not_http_is_refused(web: WebServer, retry: Retry) -> None:
    web.respond = lambda _: Response(401, headers={"WWW-Authenticate": 'Bearer realm="file:///etc/passwd"'})
    with pytest.raises(RegistryRefusedError, match="token service with an unsafe address"):
        _resolve(web, retry)


def test_redirect_to_another_host_sends_no_credentials(
    web: WebServer, other_web: WebServer, retry: Retry
) -> None:
    def answer(request: Request) -> Response:
        if "authorization" not in request.headers:
            return Response(401, headers={"WWW-Authenticate": "Basic"})
        return Response(307, headers={"Location": f"{other_web.url}/store"})

    web.respond = answer
    other_web.respond = lambda _: Response(body=b"blob")
    reference = Reference(web.address, "x")
    with (
        RegistryClient(RegistryAccess(), credential=Credential("me", "s3cret"), retry=retry) as registry,
        registry.open_blob(reference, DIGEST) as response,
    ):
        assert response.read() == b"blob"
    assert "authorization" not in other_web.requests[0].headers
