"""The secrets in a build request."""

from __future__ import annotations

import json

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
    assert secrets_of(_request(**public, password="s3cret")) == {"s3cret"}


def test_each_line_of_a_secret_is_a_secret() -> None:
    assert secrets_of(_request(key="one\ntwo")) == {"one", "two"}


def test_secrets_inside_json_are_secrets() -> None:
    value = json.dumps(
        {"type": "service_account", "private_key": "s3cret\nline", "client_email": "me@example"}
    )
    assert secrets_of(_request(GOOGLE_SERVICE_ACCOUNT_KEY=value)) == {value, "s3cret", "line"}
