"""Credentials of object stores: complete sets, and no identity of the machine or the pod."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.web_server import Response, WebServer
from tests.unit.builder.sources.fetcher import Fetcher

from modelyard.builder.sources.store_credentials import forget_cloud_identity, store_config, store_keys
from modelyard.contract.errors import SourceInvalidError
from modelyard.contract.source_keys import describe_keys

OBJECT = Response(body=b"12345", headers={"ETag": '"a"', "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT"})
BLOB = "abfs://container@account.dfs.core.windows.net/m"
TOKEN = {"access_token": "pod-token", "expires_in": 3600, "token_type": "Bearer"}
GOOGLE_KEY = {"client_email": "a@b", "private_key": "p", "private_key_id": "1"}


@pytest.mark.parametrize(
    ("kind", "credentials", "config"),
    [
        ("s3", {}, {"AWS_SKIP_SIGNATURE": "true"}),
        ("s3", {"AWS_REGION": "eu-west-1"}, {"AWS_REGION": "eu-west-1", "AWS_SKIP_SIGNATURE": "true"}),
        ("s3", {"AWS_REGION": "", "token": "x"}, {"AWS_SKIP_SIGNATURE": "true"}),
        ("abfs", {"AZURE_STORAGE_SAS_KEY": "x", "other": "y"}, {"AZURE_STORAGE_SAS_KEY": "x"}),
        ("abfs", {}, {"AZURE_SKIP_SIGNATURE": "true"}),
        ("gs", {}, {"GOOGLE_SKIP_SIGNATURE": "true"}),
    ],
)  # fmt: skip
def test_store_config_has_the_keys_of_the_store(
    kind: str, credentials: dict[str, str], config: dict[str, str]
) -> None:
    assert store_config(kind, credentials) == config


def test_session_token_is_optional_beside_both_keys() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    assert store_config("s3", keys | {"AWS_SESSION_TOKEN": ""}) == keys
    assert store_config("s3", keys | {"AWS_SESSION_TOKEN": "c"}) == keys | {"AWS_SESSION_TOKEN": "c"}


@pytest.mark.parametrize(
    ("kind", "present", "missing"),
    [
        ("s3", ["AWS_SESSION_TOKEN"], ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]),
        ("s3", ["AWS_ACCESS_KEY_ID"], ["AWS_SECRET_ACCESS_KEY"]),
        ("s3", ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"], ["AWS_ACCESS_KEY_ID"]),
        ("abfs", ["AZURE_STORAGE_CLIENT_ID"], ["AZURE_STORAGE_CLIENT_SECRET", "AZURE_STORAGE_TENANT_ID"]),
        ("abfs", ["AZURE_STORAGE_TENANT_ID"], ["AZURE_STORAGE_CLIENT_ID", "AZURE_STORAGE_CLIENT_SECRET"]),
        ("abfs", ["AZURE_STORAGE_CLIENT_ID", "AZURE_STORAGE_CLIENT_SECRET"], ["AZURE_STORAGE_TENANT_ID"]),
    ],
)
def test_part_of_a_credential_is_refused_with_the_missing_keys(
    kind: str, present: list[str], missing: list[str]
) -> None:
    for rest in ({}, dict.fromkeys(missing, "")):
        with pytest.raises(SourceInvalidError, match=rf"without {', '.join(missing)}: add"):
            store_config(kind, dict.fromkeys(present, "x") | rest)


@pytest.mark.parametrize(
    ("kind", "keys"),
    [("s3", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]), ("abfs", ["AZURE_STORAGE_SAS_KEY"])],
)
def test_empty_credential_is_refused(kind: str, keys: list[str]) -> None:
    with pytest.raises(SourceInvalidError, match=keys[0]):
        store_config(kind, dict.fromkeys(keys, ""))


def test_several_credentials_are_refused() -> None:
    with pytest.raises(SourceInvalidError, match="several credentials"):
        store_config("abfs", {"AZURE_STORAGE_SAS_KEY": "x", "AZURE_STORAGE_CLIENT_ID": "y"})


@pytest.mark.parametrize("left_out", GOOGLE_KEY)
def test_google_key_needs_all_fields(left_out: str) -> None:
    whole = {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(GOOGLE_KEY)}
    assert store_config("gs", whole) == whole
    part = {name: value for name, value in GOOGLE_KEY.items() if name != left_out}
    with pytest.raises(SourceInvalidError, match=rf"lacks {left_out}:"):
        store_config("gs", {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(part)})


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "[" * 100_000])
def test_google_key_that_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(SourceInvalidError, match="GOOGLE_SERVICE_ACCOUNT_KEY"):
        store_config("gs", {"GOOGLE_SERVICE_ACCOUNT_KEY": text})


@pytest.mark.parametrize("region", ["x@127.0.0.2:1/", "a.b", "eu west", "a\nb", "a" * 64, "eu/", "ü"])
def test_region_that_is_no_name_is_refused(region: str) -> None:
    with pytest.raises(SourceInvalidError, match="AWS_REGION"):
        store_config("s3", {"AWS_REGION": region})


BAD_ENDPOINTS = [
    "http:/h", "http:h", "http:///h", "http://", "http://h\\@g", "http://g@h", "ftp://h", "h", "http://h:x",
    "http://h:99999", "http://h:0", "http://[::1", "ht\ttp://h", " http://h", "http://h h", "http://ü",
    "http://[fe80::1%25lo]", "http://%31%32%37.0.0.1", "http://a%40b",
]  # fmt: skip


@pytest.mark.parametrize("endpoint", BAD_ENDPOINTS)
def test_endpoint_that_is_no_url_is_refused(endpoint: str) -> None:
    for kind, credentials in (
        ("s3", {"AWS_ENDPOINT_URL": endpoint}),
        ("abfs", {"AZURE_ENDPOINT": endpoint}),
        ("gs", {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(GOOGLE_KEY | {"gcs_base_url": endpoint})}),
    ):
        with pytest.raises(SourceInvalidError, match="not a valid url"):
            store_config(kind, credentials)


@pytest.mark.parametrize(
    ("kind", "key"),
    [("s3", "AWS_WEB_IDENTITY_TOKEN_FILE"), ("gs", "GOOGLE_SERVICE_ACCOUNT"), ("abfs", "sas")],
)
def test_keys_that_name_files_of_the_build_are_rejected(kind: str, key: str) -> None:
    with pytest.raises(SourceInvalidError, match="none of the keys"):
        store_config(kind, {key: "/var/run/secrets/token"})


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


def test_only_variables_of_clouds_are_removed() -> None:
    environment = {
        "AWS_ROLE_ARN": "x",
        "azure_client_id": "x",
        "GOOGLE_APPLICATION_CREDENTIALS": "x",
        "PATH": "x",
    }
    forget_cloud_identity(environment)
    assert environment == {"PATH": "x"}


@pytest.mark.parametrize("kind", ["s3", "gs", "abfs"])
def test_build_gets_each_key_of_the_store(kind: str) -> None:
    """The operator hands over the keys in contract/source_keys.py only."""
    assert set(describe_keys(f"{kind}://a/b").split(", ")) == set(store_keys(kind))
