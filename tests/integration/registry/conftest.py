"""CNCF Distribution with each kind of authentication, and the registry of crane, on this machine."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from tests.support.breaking_proxy import BreakingProxy
from tests.support.certificates import Certificate, certificate_for
from tests.support.programs import program
from tests.support.servers import Server, free_port
from tests.support.token_server import ISSUER, SERVICE, TokenServer

from modelyard.backoff import Backoff
from modelyard.oci import RegistryClient
from modelyard.oci.reference import Reference
from modelyard.oci.registry_config import RegistryAccess
from modelyard.retry import Retry

KINDS: Final = ("anonymous", "basic", "token", "crane")
TLS_HOST: Final = "127.0.0.2"  # the client uses plain HTTP for 127.0.0.1 only
USERS: Final = {
    "s3cret": "me:$2b$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK\n",
    "rotated": "me:$2b$05$abcdefghijklmnopqrstuua6F24UssnnXeyPXvJlLDMh9NzaVhdeu\n",
}
"""Lines of a htpasswd file by the password, of which they contain the bcrypt hash."""


@dataclass
class RunningRegistry:
    """A registry process. `config` is the dockerconfigjson of its clients."""

    server: Server
    config: Path
    authority: Path | None = None
    users: Path | None = None
    tokens: TokenServer | None = None
    supports_mounts: bool = True
    resumes_uploads: bool = True
    """True if an upload survives a restart of the registry and a broken connection."""
    address: str = ""
    log: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        return self.address or self.server.address

    @property
    def access(self) -> RegistryAccess:
        return RegistryAccess(config=self.config, ca_bundle=self.authority)

    def through(self, proxy: BreakingProxy) -> RunningRegistry:
        """Return the same registry with the address of a proxy."""
        proxied = replace(self, address=proxy.address)
        proxied.log_in()
        return proxied

    def log_in(self, username: str = "me", password: str = "s3cret") -> None:
        auth = base64.b64encode(f"{username}:{password}".encode()).decode()
        self.config.write_text(json.dumps({"auths": {self.host: {"auth": auth}}}))

    def client(self, access: RegistryAccess | None = None) -> RegistryClient:
        retry = Retry(attempts=5, backoff=Backoff(0.05, 30.0))
        return RegistryClient(access or self.access, retry=retry, log=self.log.append)

    def repository(self, name: str) -> Reference:
        return Reference(self.host, name)


Start = Callable[..., RunningRegistry]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a registry of a kind, with additional settings of Distribution."""
    stops: list[Callable[[], None]] = []

    def make(kind: str, **settings: dict[str, Any]) -> RunningRegistry:
        folder = tmp_path / f"{kind}-{len(stops)}"
        folder.mkdir()
        running = _crane(folder) if kind == "crane" else _distribution(kind, folder, settings)
        stops.append(running.server.start().kill)
        if running.tokens:
            stops.append(running.tokens.stop)
        running.log_in()
        return running

    yield make
    for stop in reversed(stops):
        stop()


@pytest.fixture(params=KINDS)
def running(request: pytest.FixtureRequest, start: Start) -> RunningRegistry:
    """Each kind of registry in turn."""
    return start(request.param)


@pytest.fixture
def proxied(running: RunningRegistry) -> Iterator[tuple[RunningRegistry, BreakingProxy]]:
    """Each kind of registry in turn, behind a proxy that breaks connections."""
    proxy = BreakingProxy((running.server.host, running.server.port), running.server.host)
    yield running.through(proxy), proxy
    proxy.stop()


def _crane(folder: Path) -> RunningRegistry:
    port = free_port()
    command = [program("crane"), "registry", "serve", "--address", f"127.0.0.1:{port}"]
    server = Server(command, port, folder)
    return RunningRegistry(server, folder / "config.json", supports_mounts=False, resumes_uploads=False)


def _distribution(kind: str, folder: Path, more: dict[str, dict[str, Any]]) -> RunningRegistry:
    host = TLS_HOST if kind == "token" else "127.0.0.1"
    port = free_port(host)
    server = Server([program("registry"), "serve", "config.yaml"], port, folder, host=host)
    running = RunningRegistry(server, folder / "config.json")
    storage = {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}}
    settings: dict[str, Any] = {
        "version": 0.1,
        "log": {"accesslog": {"disabled": True}},
        "http": {"addr": f"{host}:{port}"},
        **more,
        "storage": storage | more.get("storage", {}),
    }
    if kind == "basic":
        running.users = folder / "users"
        running.users.write_text(USERS["s3cret"])
        settings["auth"] = {"htpasswd": {"realm": "test", "path": str(running.users)}}
    if kind == "token":
        certificate = certificate_for(host, folder)
        running.authority = certificate.authority
        running.tokens = _tokens(host, certificate)
        settings["http"] |= {
            "tls": {"certificate": str(certificate.certificate), "key": str(certificate.key)}
        }
        settings["auth"] = {
            "token": {
                "realm": running.tokens.url,
                "service": SERVICE,
                "issuer": ISSUER,
                "rootcertbundle": str(certificate.authority),
            }
        }
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    return running


def _tokens(host: str, certificate: Certificate) -> TokenServer:
    tokens = TokenServer(host, certificate)
    tokens.users = {"me": "s3cret", "reader": "s3cret"}
    tokens.rights = {
        "me": {"": {"pull", "push", "delete", "*"}},
        "reader": {"shared/": {"pull"}},
    }
    return tokens


def stored_blob(running: RunningRegistry, repository: Reference, digest: str) -> bytes:
    """Return a blob of the registry without the client under test."""
    if running.tokens is None:
        return crane(running, "blob", f"{repository}@{digest}")
    (file,) = running.config.parent.glob(f"data/**/blobs/sha256/*/{digest.removeprefix('sha256:')}/data")
    return file.read_bytes()


def crane(running: RunningRegistry, *arguments: str) -> bytes:
    """Return the output of crane, another client, which refuses token services at private addresses."""
    environment = {"DOCKER_CONFIG": str(running.config.parent), "PATH": "/usr/bin:/bin"}
    command = [program("crane"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout
