"""The guard adds the credentials of the indexes, which the process with users' packages never has."""

from __future__ import annotations

import base64
import ipaddress
import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import trustme
from tests.support.web_server import Response, WebServer

from modelyard.builder.environment.conda_settings import CondaSettings
from modelyard.builder.environment.index_access import read_index_access
from modelyard.builder.environment.index_credentials import index_prefix
from modelyard.builder.environment.index_guard import IndexGuard
from modelyard.builder.environment.pip_settings import PipSettings
from modelyard.builder.environment.registry_files import WHEEL_HOST, OpenFile, RegistryFiles
from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.contract.errors import CondaFailedError, SourceDeniedError
from modelyard.oci.errors import RegistryUnavailableError

LOGIN = "Basic " + base64.b64encode(b"ci:pass word").decode()
LOOPBACK = ipaddress.ip_network("127.0.0.0/8")

Fetch = Callable[[str], httpx.Response]


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_web(ca: trustme.CA) -> Iterator[WebServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    server = WebServer(context)
    yield server
    server.stop()


class Guards:
    """Requests through guards, with the settings that a process with users' packages has."""

    def __init__(self, folder: Path, ca: trustme.CA) -> None:
        self.folder = folder
        self.ca_bundle = folder / "ca.pem"
        ca.cert_pem.write_to_path(str(self.ca_bundle))
        self.policy = EgressPolicy()
        self.pip_conf = ""
        self.conda = CondaSettings(channels=())
        self.variables: dict[str, str] = {}
        self.files: RegistryFiles = {}

    def get(self, *urls: str) -> list[httpx.Response]:
        conf = self.folder / "pip.conf"
        conf.write_text(self.pip_conf)
        pip = PipSettings(self.ca_bundle, conf, self.policy)
        access = read_index_access(pip, self.conda, self.variables)
        assert "pass" not in access.public.model_dump_json()
        assert "t0ken" not in access.public.model_dump_json()
        with IndexGuard(access, self.policy, self.files) as guard:
            trusted = ssl.create_default_context(cadata=guard.settings.ca_certificates)
            with httpx.Client(proxy=guard.settings.proxy, verify=trusted) as client:
                responses = [client.get(url) for url in urls]
            guard.check()
        return responses


@pytest.fixture
def guards(tmp_path: Path, ca: trustme.CA) -> Guards:
    return Guards(tmp_path, ca)


def _with_login(url: str) -> str:
    return url.replace("://", "://ci:pass%20word@")


def _sent(web: WebServer) -> list[tuple[str, str | None]]:
    return [(request.path, request.headers.get("authorization")) for request in web.requests]


@pytest.fixture(params=["http", "https"])
def index(request: pytest.FixtureRequest, web: WebServer, tls_web: WebServer) -> WebServer:
    """An index over plain HTTP, and one over TLS."""
    return web if request.param == "http" else tls_web


def test_credential_is_added_below_the_path_of_the_index(guards: Guards, index: WebServer) -> None:
    index.respond = lambda request: Response(body=request.path.encode())
    guards.pip_conf = f"[global]\nindex-url = {_with_login(index.url)}/pypi/team/simple\n"
    paths = ("/pypi/team/simple/six/", "/pypi/team/packages/six.whl?x=%2e", "/pypi/team", "/pypi/team/simple")
    responses = guards.get(*(index.url + path for path in paths))
    assert [response.content.decode() for response in responses] == list(paths)
    assert _sent(index) == [(path, LOGIN) for path in paths]


def test_credential_is_not_added_to_other_paths_of_the_host(guards: Guards, index: WebServer) -> None:
    guards.pip_conf = f"[global]\nindex-url = {_with_login(index.url)}/pypi/team/simple\n"
    paths = (
        "/pypi/team-b/simple/secret/",
        "/pypi/teamX",
        "/",
        "/pypi/team/%2e%2e/team-b/simple/secret/",
        "/pypi/team/..%2fteam-b/simple/",
        "/pypi/team/%252e%252e/team-b/",
        "/pypi/team/..%5cteam-b/",
    )
    guards.get(*(index.url + path for path in paths))
    assert [authorization for _, authorization in _sent(index)] == [None] * len(paths)


def test_credential_does_not_follow_a_redirect(
    guards: Guards, index: WebServer, other_web: WebServer
) -> None:
    index.respond = lambda _: Response(302, headers={"Location": f"{other_web.url}/pypi/team/simple/x"})
    guards.pip_conf = f"[global]\nindex-url = {_with_login(index.url)}/pypi/team/simple\n"
    (response,) = guards.get(f"{index.url}/pypi/team/simple/x")
    guards.get(response.headers["location"])
    assert _sent(other_web) == [("/pypi/team/simple/x", None)]


def test_redirect_to_another_path_of_the_host_has_no_credential(guards: Guards, index: WebServer) -> None:
    guards.pip_conf = f"[global]\nindex-url = {_with_login(index.url)}/pypi/team/simple\n"
    guards.get(f"{index.url}/private/x")
    assert _sent(index) == [("/private/x", None)]


def test_credentials_of_conda_apply_to_the_channels_of_the_platform(
    guards: Guards, index: WebServer, tmp_path: Path
) -> None:
    file = tmp_path / "credentials.json"
    guards.conda = CondaSettings(channels=(f"{index.url}/a", f"{index.url}/b"), credentials=file)
    file.write_text(json.dumps({"127.0.0.1": {"BearerToken": "t0ken"}}))
    guards.get(f"{index.url}/a/noarch/repodata.json", f"{index.url}/other/noarch/repodata.json")
    file.write_text(json.dumps({"*.0.0.1": {"CondaToken": "t0ken"}}))
    guards.get(f"{index.url}/b/noarch/repodata.json")
    assert _sent(index) == [
        ("/a/noarch/repodata.json", "Bearer t0ken"),
        ("/other/noarch/repodata.json", None),
        ("/t/t0ken/b/noarch/repodata.json", None),
    ]


def test_invalid_credentials_of_conda_are_an_error(guards: Guards, tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    file.write_text('{"host": "password"}')
    guards.conda = CondaSettings(channels=("https://host/a",), credentials=file)
    with pytest.raises(CondaFailedError, match=r"build\.conda\.secretName"):
        guards.get()


def test_untrusted_certificate_of_an_index_is_refused(guards: Guards, tls_web: WebServer) -> None:
    trustme.CA().cert_pem.write_to_path(str(guards.ca_bundle))
    guards.pip_conf = f"[global]\nindex-url = {_with_login(tls_web.url)}/simple\n"
    (response,) = guards.get(f"{tls_web.url}/simple/")
    assert response.status_code == 502
    guards.pip_conf += "trusted-host = 127.0.0.1\n"
    (response,) = guards.get(f"{tls_web.url}/simple/")
    assert _sent(tls_web) == [("/simple/", LOGIN)]


def test_index_of_the_platform_is_not_limited_by_the_policy_and_other_hosts_are(
    guards: Guards, web: WebServer, other_web: WebServer
) -> None:
    guards.policy = EgressPolicy(denied=(LOOPBACK,))
    guards.pip_conf = f"[global]\nindex-url = {web.url}/simple\n"
    (response,) = guards.get(f"{web.url}/simple/")
    assert response.status_code == 404
    with pytest.raises(SourceDeniedError, match=r"127\.0\.0\.1 leads to an address"):
        guards.get(f"{other_web.url}/x")
    assert not other_web.requests


def test_proxy_of_the_platform_is_used_with_its_login(
    guards: Guards, web: WebServer, tls_web: WebServer
) -> None:
    with IndexGuard(read_index_access(PipSettings(), CondaSettings(), {}), EgressPolicy()) as platform:
        address = platform.url.replace("://", "://ci:pass%20word@")
        guards.variables = {"HTTP_PROXY": address, "https_proxy": address}
        responses = guards.get(f"{web.url}/a", f"{tls_web.url}/b")
        assert [response.status_code for response in responses] == [404, 404]
    with pytest.raises(httpx.ProxyError, match="502"):  # the proxy has ended
        guards.get(f"{tls_web.url}/b")
    guards.variables["NO_PROXY"] = "127.0.0.1"
    assert guards.get(f"{tls_web.url}/b")[0].status_code == 404


@pytest.mark.parametrize("spelling", ["127.0.0.1", "2130706433", "0x7f.1"])
def test_denied_address_is_not_requested_from_the_proxy_of_the_platform(
    guards: Guards, other_web: WebServer, spelling: str
) -> None:
    guards.policy = EgressPolicy(denied=(LOOPBACK,))
    port = other_web.address.rpartition(":")[2]
    guards.variables = {"HTTP_PROXY": other_web.url, "HTTPS_PROXY": other_web.url}
    with pytest.raises(SourceDeniedError, match="leads to an address"):
        guards.get(f"http://{spelling}:{port}/x")
    with pytest.raises(httpx.ProxyError, match="403"):
        guards.get(f"https://{spelling}:{port}/x")
    assert not other_web.requests


def test_scheme_is_checked_before_the_proxy_of_the_platform(guards: Guards, other_web: WebServer) -> None:
    guards.policy = EgressPolicy(schemes=frozenset({"https"}))
    guards.variables = {"HTTP_PROXY": other_web.url}
    with pytest.raises(SourceDeniedError, match="is reached by http, which"):
        guards.get("http://packages.example/x")
    assert not other_web.requests


@pytest.mark.parametrize(
    ("url", "prefix"),
    [
        ("https://h/simple", "/"),
        ("https://h/api/pypi/team/simple/", "/api/pypi/team/"),
        ("https://h/root/pypi", "/root/pypi/"),
        ("https://h", "/"),
    ],
)
def test_prefix_of_an_index(url: str, prefix: str) -> None:
    assert index_prefix(url) == prefix


def test_file_of_the_registry_that_breaks_off_is_incomplete(
    guards: Guards, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def wheels(key: str) -> Iterator[OpenFile | None]:
        def chunks() -> Iterator[bytes]:
            yield key.encode()
            raise RegistryUnavailableError("the registry does not answer")

        yield OpenFile("a.whl", "sha256:0", 100, chunks())

    guards.files = {WHEEL_HOST: wheels}
    with pytest.raises(httpx.RemoteProtocolError, match="received 3 bytes, expected 100"):
        guards.get(f"http://{WHEEL_HOST}/key")
    assert "Traceback" not in capsys.readouterr().err


def test_file_that_the_build_does_not_offer_is_not_found(guards: Guards) -> None:
    (response,) = guards.get(f"http://{WHEEL_HOST}/key")
    assert response.status_code == 404
