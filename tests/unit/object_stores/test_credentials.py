"""Credentials of object stores: complete sets, and no identity of the machine or the pod."""

from __future__ import annotations

import json

import pytest

from modelyard.contract.source_keys import describe_keys
from modelyard.object_stores.credentials import (
    StoreInvalidError,
    forget_cloud_identity,
    store_config,
    store_keys,
    take_cloud_identity,
)

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
        with pytest.raises(StoreInvalidError, match=rf"without {', '.join(missing)}: add"):
            store_config(kind, dict.fromkeys(present, "x") | rest)


@pytest.mark.parametrize(
    ("kind", "keys"),
    [("s3", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]), ("abfs", ["AZURE_STORAGE_SAS_KEY"])],
)
def test_empty_credential_is_refused(kind: str, keys: list[str]) -> None:
    with pytest.raises(StoreInvalidError, match=keys[0]):
        store_config(kind, dict.fromkeys(keys, ""))


def test_several_credentials_are_refused() -> None:
    with pytest.raises(StoreInvalidError, match="several credentials"):
        store_config("abfs", {"AZURE_STORAGE_SAS_KEY": "x", "AZURE_STORAGE_CLIENT_ID": "y"})


@pytest.mark.parametrize("left_out", GOOGLE_KEY)
def test_google_key_needs_all_fields(left_out: str) -> None:
    whole = {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(GOOGLE_KEY)}
    assert store_config("gs", whole) == whole
    part = {name: value for name, value in GOOGLE_KEY.items() if name != left_out}
    with pytest.raises(StoreInvalidError, match=rf"lacks {left_out}:"):
        store_config("gs", {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(part)})


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "[" * 100_000])
def test_google_key_that_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(StoreInvalidError, match="GOOGLE_SERVICE_ACCOUNT_KEY"):
        store_config("gs", {"GOOGLE_SERVICE_ACCOUNT_KEY": text})


@pytest.mark.parametrize("region", ["x@127.0.0.2:1/", "a.b", "eu west", "a\nb", "a" * 64, "eu/", "ü"])
def test_region_that_is_no_name_is_refused(region: str) -> None:
    with pytest.raises(StoreInvalidError, match="AWS_REGION"):
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
        with pytest.raises(StoreInvalidError, match="not a valid url"):
            store_config(kind, credentials)


@pytest.mark.parametrize(
    ("kind", "key"),
    [("s3", "AWS_WEB_IDENTITY_TOKEN_FILE"), ("gs", "GOOGLE_SERVICE_ACCOUNT"), ("abfs", "sas")],
)
def test_keys_that_name_files_of_the_build_are_rejected(kind: str, key: str) -> None:
    with pytest.raises(StoreInvalidError, match="none of the keys"):
        store_config(kind, {key: "/var/run/secrets/token"})


@pytest.mark.parametrize(
    ("kind", "variables"),
    [
        ("s3", {"AWS_ROLE_ARN": "arn", "AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_REGION": "eu-west-1"}),
        ("abfs", {"AZURE_CLIENT_ID": "c", "AZURE_TENANT_ID": "t", "AZURE_FEDERATED_TOKEN_FILE": "/token"}),
        ("gs", {"GOOGLE_APPLICATION_CREDENTIALS": "/key.json"}),
    ],
)
def test_secret_without_a_credential_leads_to_the_identity_of_the_pod(
    kind: str, variables: dict[str, str]
) -> None:
    environment = variables | {"PATH": "x", "AWS_SECRET_ACCESS_KEY": "node", "AZURE_STORAGE_SAS_KEY": "node"}
    identity = take_cloud_identity(environment)
    assert environment == {"PATH": "x"}
    assert store_config(kind, {}, identity=identity) == variables


def test_credential_of_the_secret_counts_before_the_identity_of_the_pod() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    assert store_config("s3", keys, identity={"AWS_ROLE_ARN": "arn"}) == keys


def test_address_of_the_secret_counts_before_that_of_the_pod() -> None:
    config = store_config(
        "s3", {"AWS_REGION": "eu-1"}, identity={"AWS_REGION": "us-1", "AWS_ROLE_ARN": "arn"}
    )
    assert config == {"AWS_REGION": "eu-1", "AWS_ROLE_ARN": "arn"}


def test_message_names_the_secret() -> None:
    with pytest.raises(StoreInvalidError, match="the Secret of the destination has"):
        store_config("s3", {"AWS_ACCESS_KEY_ID": "a"}, origin="Secret of the destination")


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
