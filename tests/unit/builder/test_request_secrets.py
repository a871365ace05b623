"""The secrets in a build request."""

from __future__ import annotations

import base64
import json

import pytest

from modelyard.builder.request_secrets import secrets_of
from modelyard.contract.build_request import AssetInput, BuildRequest, Source


def _request(**credentials: str) -> BuildRequest:
    return BuildRequest(
        repository="r/x",
        tag="t",
        base_image="b",
        driver="driver",
        assets=(AssetInput(id="driver", source=Source(content="x", credentials=credentials)),),
    )


def test_user_names_and_addresses_are_no_secrets() -> None:
    public = {
        "username": "me",
        "AWS_REGION": "eu",
        "AWS_ENDPOINT_URL": "http://s",
        "AZURE_ENDPOINT": "http://a",
    }
    sent = base64.b64encode(b"me:s3cret").decode()
    assert secrets_of(_request(**public, password="s3cret")) == {"s3cret", sent}


def test_basic_credentials_are_a_secret_as_they_are_sent() -> None:
    sent = base64.b64encode(b"me:s3cret").decode()
    assert sent in secrets_of(_request(username="me", password="s3cret"))
    config = json.dumps({"auths": {"h": {"username": "me", "password": "s3cret"}, "g": {"auth": sent}}})
    assert {sent, "s3cret"} <= secrets_of(_request(**{".dockerconfigjson": config}))


def test_password_inside_of_auth_is_a_secret() -> None:
    config = json.dumps({"auths": {"g": {"auth": base64.b64encode(b"me:s3cret").decode()}}})
    assert "s3cret" in secrets_of(_request(**{".dockerconfigjson": config}))


URL = "https://me:p%40ss@h/m?v=2&sig=abc%2Fdef%2Bgh"


@pytest.mark.parametrize("field", ["url", "pip_requirements", "conda_env_file"])
def test_password_and_query_of_a_url_are_secrets(field: str) -> None:
    if field == "url":
        request = _request()
        source = Source(url=URL)
        request = request.model_copy(update={"assets": (AssetInput(id="driver", source=source),)})
    else:
        request = _request().model_copy(update={field: f"- x\n--index-url {URL}\n"})
    sent = base64.b64encode(b"me:p@ss").decode()
    assert secrets_of(request) == {
        *("p%40ss", "p@ss", sent, "v=2&sig=abc%2Fdef%2Bgh", "abc%2Fdef%2Bgh", "abc/def+gh")
    }


def test_values_of_a_sas_token_are_secrets() -> None:
    found = secrets_of(_request(AZURE_STORAGE_SAS_KEY="?sv=1&sig=abc/def+gh%3D"))
    assert {"sv=1&sig=abc/def+gh%3D", "abc/def+gh=", "abc%2Fdef%2Bgh%3D"} <= found


def test_each_line_of_a_secret_is_a_secret() -> None:
    assert secrets_of(_request(key="one\ntwo")) == {"one", "two"}


def test_secrets_inside_json_are_secrets() -> None:
    value = json.dumps(
        {"type": "service_account", "private_key": "s3cret\nline", "client_email": "me@example"}
    )
    assert secrets_of(_request(GOOGLE_SERVICE_ACCOUNT_KEY=value)) == {value, "s3cret", "line"}
