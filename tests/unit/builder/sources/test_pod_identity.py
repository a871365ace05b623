"""Downloads from object stores never use the identity of the build's pod."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.web_server import Response, WebServer
from tests.unit.builder.sources.fetcher import Fetcher

OBJECT = Response(body=b"12345", headers={"ETag": '"a"', "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT"})
BLOB = "abfs://container@account.dfs.core.windows.net/m"
TOKEN = {"access_token": "pod-token", "expires_in": 3600, "token_type": "Bearer"}


@pytest.fixture
def identity(other_web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WebServer:
    """A token service, and the variables with which EKS and AKS give pods their identity."""
    other_web.respond = lambda _: Response(body=json.dumps(TOKEN).encode())
    (tmp_path / "token").write_text("jwt")
    for name, value in {
        "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token"),
        "AZURE_CLIENT_ID": "pod",
        "AZURE_TENANT_ID": "pod",
        "AZURE_AUTHORITY_HOST": other_web.url,
        "AWS_SESSION_TOKEN": "pod-token",
        "AWS_METADATA_ENDPOINT": other_web.url,
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
        "AWS_ROLE_ARN": "arn:aws:iam::1:role/pod",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": other_web.url,
        "IDENTITY_ENDPOINT": other_web.url,
    }.items():
        monkeypatch.setenv(name, value)
    return other_web


@pytest.mark.parametrize(
    ("url", "credentials"),
    [
        ("s3://b/m", {}),
        ("s3://b/m", {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}),
        (BLOB, {}),
        (BLOB, {"AZURE_STORAGE_SAS_KEY": "sv=1&sig=x"}),
        (BLOB, {"AZURE_STORAGE_ACCOUNT_KEY": "eHh4"}),
    ],
)
def test_identity_of_the_pod_is_not_used_for_a_url_of_a_user(
    web: WebServer, identity: WebServer, fetcher: Fetcher, url: str, credentials: dict[str, str]
) -> None:
    web.respond = lambda _: OBJECT
    endpoints = {"AWS_ENDPOINT_URL": web.url, "AZURE_ENDPOINT": web.url}
    assert fetcher(url=url, credentials=credentials | endpoints).size == 5
    assert not identity.requests
    assert "pod-token" not in str(web.requests)
