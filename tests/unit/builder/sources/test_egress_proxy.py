"""The egress proxy: uv installs packages from URLs of users."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from tests.support.web_server import (
    Response,
    WebServer,
)
from tests.unit.builder.environment.index import Index
from tests.unit.builder.sources.secure_server import tls_server

from modelyard.builder.environment.guarded_installer import GuardedInstaller
from modelyard.builder.environment.package_job import PackageJob, PackageKind, do_job
from modelyard.builder.environment.pip_settings import PipSettings
from modelyard.builder.log import BuildLog
from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.builder.sources.egress_proxy import EgressProxy
from modelyard.contract.errors import (
    PackageIndexUnavailableError,
    SourceDeniedError,
)

HERE: Final = "127.0.0.1"
ELSEWHERE: Final = "127.0.0.2"  # also loopback, without a server
LOOPBACK: Final = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
ALL_DENIED: Final = EgressPolicy(denied=LOOPBACK)
ONLY_HERE: Final = EgressPolicy(denied=LOOPBACK, allowed=(ipaddress.ip_network(HERE),))


class Installer:
    """Installs requirements with uv behind a guard. `own` is the index of the platform."""

    def __init__(self, folder: Path, own: Index) -> None:
        self.folder = folder
        self.conf = folder / "pip.conf"
        self.conf.write_text(f"[global]\nindex-url = {own.url}\nretries = 0\n")
        self.ca_bundle: Path | None = None

    def __call__(self, requirements: str, policy: EgressPolicy) -> list[str]:
        tree = self.folder / "tree"
        settings = PipSettings(self.ca_bundle, self.conf, policy)
        with (self.folder / "log").open("w") as log:
            job = PackageJob(
                kind=PackageKind.PIP,
                folder=tree,
                platform="linux/amd64",
                python="3.11",
                requirements=requirements,
            )
            GuardedInstaller(settings, install_users=do_job)(job, BuildLog(log))
        return sorted(
            path.name for path in (tree / "lib/python3.11/site-packages").iterdir() if path.is_dir()
        )


@pytest.fixture
def own(web: WebServer) -> Index:
    index = Index(web)
    index.wheel("ours")
    return index


@pytest.fixture
def other(other_web: WebServer) -> Index:
    index = Index(other_web)
    index.wheel("theirs")
    return index


@pytest.fixture
def installer(tmp_path: Path, own: Index) -> Installer:
    return Installer(tmp_path, own)


def test_index_of_the_platform_may_have_any_address(installer: Installer, own: Index) -> None:
    assert "ours" in installer("ours", ALL_DENIED)
    assert "ours" in installer(f"--extra-index-url {own.url}/again\nours", ALL_DENIED)


@pytest.mark.parametrize(
    "lines",
    [
        "--index-url {url}\ntheirs",
        "--extra-index-url {url}\nours",
        "--find-links {url}/theirs/\ntheirs",
        "{wheel}",
        "direct @ {wheel}",
        "--extra-index-url http://localhost:{port}/simple\nours",
    ],
)
def test_denied_address_is_not_connected_to(
    installer: Installer, other: Index, other_web: WebServer, lines: str
) -> None:
    port = other_web.address.rpartition(":")[2]
    filled = lines.format(url=other.url, wheel=other.wheel("direct"), port=port)
    with pytest.raises(SourceDeniedError, match=r"pipRequirements: (127\.0\.0\.1|localhost) leads to"):
        installer(filled, ALL_DENIED)
    assert not other_web.requests


def test_allowed_addresses_are_connected_to(installer: Installer, other: Index) -> None:
    found = installer(f"--extra-index-url {other.url}\nours\ntheirs\n{other.wheel('direct')}", ONLY_HERE)
    assert {"ours", "theirs", "direct"} <= set(found)


def test_redirect_to_a_denied_address_is_an_error(installer: Installer, other_web: WebServer) -> None:
    other_web.respond = lambda request: Response(
        302, headers={"Location": f"http://{ELSEWHERE}:1{request.path}"}
    )
    with pytest.raises(SourceDeniedError, match=ELSEWHERE):
        installer(f"--index-url {other_web.url}/simple\ntheirs", ONLY_HERE)


def test_link_of_an_index_to_a_denied_address_is_an_error(installer: Installer, other_web: WebServer) -> None:
    link = f'<a href="http://{ELSEWHERE}:1/theirs-1.0-py3-none-any.whl">theirs-1.0-py3-none-any.whl</a>'
    other_web.respond = lambda _: Response(body=link.encode(), headers={"Content-Type": "text/html"})
    with pytest.raises(SourceDeniedError, match=ELSEWHERE):
        installer(f"--index-url {other_web.url}/simple\ntheirs", ONLY_HERE)


def test_denied_scheme_is_an_error_unless_the_platform_uses_it(
    installer: Installer, own: Index, other: Index
) -> None:
    secure = EgressPolicy(schemes=frozenset({"https", "oci"}))
    with pytest.raises(SourceDeniedError, match=r"is reached by http, which build\.sources\.schemes lacks"):
        installer(f"--extra-index-url {other.url}\nours", secure)
    assert "ours" in installer(f"--index-url {own.url}\nours", secure)


def test_other_failures_are_raised_unchanged(installer: Installer) -> None:
    with pytest.raises(PackageIndexUnavailableError):
        installer(f"--index-url http://{HERE}:1/simple\ntheirs", ONLY_HERE)


@pytest.fixture
def secure_web(tmp_path: Path) -> Iterator[WebServer]:
    with tls_server(tmp_path) as server:
        yield server


def test_tls_is_tunnelled(tmp_path: Path, installer: Installer, secure_web: WebServer) -> None:
    index = Index(secure_web)
    index.wheel("theirs")
    installer.ca_bundle = tmp_path / "ca.pem"
    with pytest.raises(SourceDeniedError):
        installer(f"--index-url {index.url}\ntheirs", ALL_DENIED)
    assert not secure_web.requests
    assert "theirs" in installer(f"--index-url {index.url}\ntheirs", ONLY_HERE)


def test_redirect_to_a_denied_scheme_is_an_error(
    tmp_path: Path, installer: Installer, other: Index, other_web: WebServer, secure_web: WebServer
) -> None:
    other.wheel("theirs")
    secure_web.respond = lambda request: Response(302, headers={"Location": other_web.url + request.path})
    installer.ca_bundle = tmp_path / "ca.pem"
    lines = f"--index-url {secure_web.url}/simple\ntheirs"
    with pytest.raises(SourceDeniedError, match=r"is reached by http, which build\.sources\.schemes lacks"):
        installer(lines, EgressPolicy(schemes=frozenset({"https"})))
    assert not other_web.requests
    assert "theirs" in installer(lines, EgressPolicy(schemes=frozenset({"http", "https"})))


def test_host_of_no_proxy_is_checked_beside_a_proxy_of_the_platform(
    installer: Installer, other: Index, other_web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    lines = f"--extra-index-url {other.url}\nours\ntheirs"
    with pytest.raises(SourceDeniedError):
        installer(lines, ALL_DENIED)
    assert not other_web.requests
    assert "theirs" in installer(lines, ONLY_HERE)


def test_connections_pass_the_proxy_of_the_platform_unless_the_policy_denies_them(
    installer: Installer, other: Index, other_web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = f"--extra-index-url {other.url}\nours\ntheirs"
    with EgressProxy(EgressPolicy()) as platform:
        monkeypatch.setenv("http_proxy", platform.url)
        with pytest.raises(SourceDeniedError, match=r"127\.0\.0\.1 leads to"):
            installer(lines, ALL_DENIED)
        assert not other_web.requests
        assert "theirs" in installer(lines, ONLY_HERE)
    with pytest.raises(PackageIndexUnavailableError):  # the proxy has ended
        installer(f"{lines}\nmore", ONLY_HERE)
