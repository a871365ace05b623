"""The egress policy of downloads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.web_server import (
    Response,
    WebServer,
)
from tests.unit.builder.sources.secure_server import tls_server

from modelyard.builder.sources.context import FetchContext
from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.builder.sources.fetch import fetch
from modelyard.contract.build_pod import BuildVariable
from modelyard.contract.build_request import Source
from modelyard.contract.errors import SourceDeniedError
from modelyard.oci.registry_config import RegistryAccess

LOOPBACK = {BuildVariable.FETCH_DENIED_NETWORKS: "127.0.0.0/8 ::1/128"}


def _fetch(url: str, folder: Path, environment: dict[str, str], **credentials: str) -> bytes:
    context = FetchContext(policy=EgressPolicy.from_environment(environment))
    source = Source(url=url, credentials=credentials)
    return fetch(source, folder, name="file", limit_bytes=1000, context=context).path.read_bytes()


# Connects with each of socket's two methods and prints the class of each error.
CONNECT = """
import ipaddress, socket, sys
from modelyard.builder.sources.egress_policy import EgressPolicy
{prepare}
port = int(sys.argv[1])
denied = EgressPolicy(denied=(ipaddress.ip_network("127.0.0.0/8"),))
for policy in (denied, EgressPolicy()):
    for method in ("connect", "connect_ex"):
        with policy.connecting(), socket.socket() as connection:
            try:
                print(getattr(connection, method)(("127.0.0.1", port)))
            except Exception as error:
                print(type(error).__name__, connection.fileno())
"""
REMOVABLE = "from tests.unit.removable_audit_hook import add_audit_hook; sys.addaudithook = add_audit_hook"


def _connect_in_a_process(web: WebServer, prepare: str) -> list[str]:
    command = [sys.executable, "-c", CONNECT.format(prepare=prepare), web.url.rpartition(":")[2]]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()


def test_audit_hook_of_python_stops_a_connection(web: WebServer) -> None:
    assert _connect_in_a_process(web, "") == ["SourceDeniedError -1"] * 2 + ["None", "0"]


def test_removable_audit_hook_stops_the_same_connections_as_the_hook_of_python(web: WebServer) -> None:
    assert _connect_in_a_process(web, REMOVABLE) == _connect_in_a_process(web, "")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "0", "127.1", "0x7f000001", "[::]"]
)
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
    fields = {"client_email": "", "private_key": "", "private_key_id": "", "disable_oauth": True}
    key = json.dumps(fields | {"gcs_base_url": "http://localhost:9000"})
    with pytest.raises(SourceDeniedError):
        _fetch("gs://bucket/key", tmp_path, LOOPBACK, GOOGLE_SERVICE_ACCOUNT_KEY=key)


@pytest.mark.parametrize("url", ["http://h/f", "data:,x", "s3://b/k"])
def test_other_scheme_is_denied(tmp_path: Path, url: str) -> None:
    with pytest.raises(SourceDeniedError):
        _fetch(url, tmp_path, {BuildVariable.FETCH_SCHEMES: "https oci"})


def test_redirect_to_a_denied_scheme_is_an_error(web: WebServer, tmp_path: Path) -> None:
    with tls_server(tmp_path) as secure:
        secure.respond = lambda _: Response(302, headers={"Location": f"{web.url}/file"})
        access = RegistryAccess(ca_bundle=tmp_path / "ca.pem")
        policy = EgressPolicy(schemes=frozenset({"https"}))
        context = FetchContext(access=access, policy=policy)
        with pytest.raises(
            SourceDeniedError, match="/file redirects: urls that start with 'http' are not allowed"
        ):
            fetch(Source(url=f"{secure.url}/file"), tmp_path, name="file", limit_bytes=9, context=context)
    assert len(secure.requests) == 1
    assert not web.requests


def test_allowed_scheme_is_fetched(tmp_path: Path) -> None:
    assert _fetch("data:,x", tmp_path, {BuildVariable.FETCH_SCHEMES: "https data"} | LOOPBACK) == b"x"


@pytest.mark.parametrize(
    "url", ["http://10.1:80/x", "http://[::ffff:10.0.0.1]:80/x", "oci://10.1:80/models/x:1"]
)
def test_denied_address_is_not_requested_from_a_proxy_of_the_platform(
    web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", web.url)
    monkeypatch.setenv("HTTPS_PROXY", web.url)
    variables = {BuildVariable.FETCH_DENIED_NETWORKS: "127.0.0.2/32 10.0.0.0/8"}
    denied = pytest.raises(SourceDeniedError, match=r"build\.sources\.deniedNetworks")
    with denied:
        _fetch(url, tmp_path, variables)
    assert not web.requests
    web.respond = lambda _: Response(302, headers={"Location": "http://0x7f000002/x"})
    with denied:
        _fetch("http://models.example/file", tmp_path, variables)
    assert len(web.requests) == 1
