"""The registry login of the platform for `oci://` URLs of users."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.web_server import Request, Response, WebServer
from tests.unit.builder.sources.fetcher import Fetcher, digest_of

from modelyard.builder.sources.registry_login import RegistryLogin
from modelyard.contract.build_pod import BuildVariable
from modelyard.contract.errors import SourceForbiddenError
from modelyard.oci.reference import parse_reference
from modelyard.oci.registry_config import RegistryAccess

LOGIN = "Basic " + base64.b64encode(b"robot:s3cret").decode()
BLOB = b"model of team-b"
OFFERED = RegistryLogin(
    frozenset({"r.example.com/team-a", "r.example.com"}), frozenset({"r.example.com/team-a/own"})
)
ACCESS = RegistryAccess(config=Path("config.json"))


def _private(request: Request) -> Response:
    """Answer as a registry that demands the login of the platform."""
    if request.headers.get("authorization") != LOGIN:
        return Response(401, headers={"WWW-Authenticate": "Basic realm=r"})
    if "/blobs/" in request.path:
        return Response(body=BLOB)
    layer = {"mediaType": "application/octet-stream", "digest": digest_of(BLOB), "size": len(BLOB)}
    return Response(body=json.dumps({"schemaVersion": 2, "layers": [layer]}).encode())


@pytest.fixture
def offer(web: WebServer, fetcher: Fetcher, tmp_path: Path) -> Callable[..., None]:
    """Let the fetcher use the platform's login for repositories of a private registry."""
    web.respond = _private
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"auths": {web.address: {"username": "robot", "password": "s3cret"}}}))

    def offer(*paths: str) -> None:
        login = RegistryLogin(
            frozenset(f"{web.address}/{path}" for path in paths), frozenset({f"{web.address}/modelyard"})
        )
        fetcher.context = replace(fetcher.context, access=RegistryAccess(config=config), login=login)

    return offer


@pytest.mark.parametrize("path", ["team-b/models", "team-a-2", "modelyard/layer__cache", "modelyard"])
def test_repository_that_is_not_offered_is_read_anonymously(
    web: WebServer, fetcher: Fetcher, offer: Callable[..., None], path: str
) -> None:
    offer("team-a", "modelyard", "modelyard/layer__cache")
    with pytest.raises(SourceForbiddenError, match=r"build\.sources\.repositories only: set secretRef"):
        fetcher(url=f"oci://{web.address}/{path}:1")
    assert all("authorization" not in request.headers for request in web.requests)


@pytest.mark.parametrize("path", ["team-a", "team-a/deep/models"])
def test_offered_repository_is_read_with_the_login(
    web: WebServer, fetcher: Fetcher, offer: Callable[..., None], path: str
) -> None:
    offer("team-a")
    assert fetcher(url=f"oci://{web.address}/{path}:1").path.read_bytes() == BLOB


@pytest.mark.parametrize(
    "credentials",
    [{".dockerconfigjson": '{"auths": {}}'}, {"username": "", "password": ""}, {"token": "x"}],
)
def test_secret_of_the_user_replaces_the_login(
    web: WebServer, fetcher: Fetcher, offer: Callable[..., None], credentials: dict[str, str]
) -> None:
    offer("team-a")
    with pytest.raises(SourceForbiddenError):
        fetcher(url=f"oci://{web.address}/team-a:1", credentials=credentials)
    assert all(request.headers.get("authorization") != LOGIN for request in web.requests)


@pytest.mark.parametrize(
    ("repository", "has_login"),
    [
        ("r.example.com/team-a/models", True),
        ("r.example.com/team-a/own", False),
        ("r.example.com/team-a/own/layer__cache", False),
        ("r.example.com/team-a/owner", True),
        ("r.example.com/team-b", True),  # below an entry for the whole registry
        ("R.example.com/team-a", False),
        ("r.example.com:443/team-a", False),
        ("other.example.com/team-a", False),
    ],
)
def test_login_is_for_repositories_below_an_entry(repository: str, has_login: bool) -> None:
    access = OFFERED.access_for(parse_reference(f"{repository}:1"), ACCESS)
    assert (access.config is not None) is has_login


@pytest.mark.parametrize("name", ["REG.example.com:443/own/x", "reg.example.com:80/own/x"])
def test_other_spelling_of_the_own_registry_does_not_offer_the_own_repository(name: str) -> None:
    login = RegistryLogin(frozenset({name}), frozenset({"reg.example.com/own"}))
    assert login.access_for(parse_reference(f"{name}:1"), ACCESS).config is None


def test_login_comes_from_the_variables_of_the_pod() -> None:
    variables = {
        BuildVariable.FETCH_REPOSITORIES: "a.test/x b.test/y",
        BuildVariable.OWN_REPOSITORIES: "a.test/o",
    }
    assert RegistryLogin.from_environment(variables) == RegistryLogin(
        frozenset({"a.test/x", "b.test/y"}), frozenset({"a.test/o"})
    )
    assert RegistryLogin.from_environment({}) == RegistryLogin()
