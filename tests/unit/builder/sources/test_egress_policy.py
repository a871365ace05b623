"""The egress policy of downloads."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.web_server import (
    Response,
    WebServer,
)

from modelyard.builder.sources import (
    FetchContext,
    fetch,
)
from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.contract.build_pod import BuildVariable
from modelyard.contract.build_request import Source
from modelyard.contract.errors import SourceDeniedError

LOOPBACK = {BuildVariable.FETCH_DENIED_NETWORKS: "127.0.0.0/8 ::1/128"}


def _fetch(url: str, folder: Path, environment: dict[str, str], **credentials: str) -> bytes:
    context = FetchContext(policy=EgressPolicy.from_environment(environment))
    source = Source(url=url, credentials=credentials)
    return fetch(source, folder, name="file", limit_bytes=1000, context=context).path.read_bytes()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_denied_address_is_not_connected_to(web: WebServer, tmp_path: Path, host: str) -> None:
    url = f"{web.url}/file".replace("127.0.0.1", host)
    with pytest.raises(SourceDeniedError):
        _fetch(url, tmp_path, LOOPBACK)
    assert not web.requests


def test_allowed_network_is_an_exception_from_denied_ones(web: WebServer, tmp_path: Path) -> None:
    web.respond = lambda _: Response(200, b"here")
    assert (
        _fetch(f"{web.url}/file", tmp_path, LOOPBACK | {BuildVariable.FETCH_ALLOWED_NETWORKS: "127.0.0.1/32"})
        == b"here"
    )


def test_denied_registry_is_not_connected_to(tmp_path: Path) -> None:
    with pytest.raises(SourceDeniedError):
        _fetch("oci://127.0.0.1:5000/model:1", tmp_path, LOOPBACK)


def test_denied_endpoint_of_a_store_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceDeniedError):
        _fetch("s3://bucket/key", tmp_path, LOOPBACK, AWS_ENDPOINT_URL="http://localhost:9000")


def test_denied_endpoint_in_a_google_key_is_an_error(tmp_path: Path) -> None:
    key = '{"gcs_base_url": "http://localhost:9000"}'
    with pytest.raises(SourceDeniedError):
        _fetch("gs://bucket/key", tmp_path, LOOPBACK, GOOGLE_SERVICE_ACCOUNT_KEY=key)


@pytest.mark.parametrize("url", ["http://h/f", "data:,x", "s3://b/k"])
def test_other_scheme_is_denied(tmp_path: Path, url: str) -> None:
    with pytest.raises(SourceDeniedError):
        _fetch(url, tmp_path, {BuildVariable.FETCH_SCHEMES: "https oci"})


def test_allowed_scheme_is_fetched(tmp_path: Path) -> None:
    assert _fetch("data:,x", tmp_path, {BuildVariable.FETCH_SCHEMES: "https data"} | LOOPBACK) == b"x"
