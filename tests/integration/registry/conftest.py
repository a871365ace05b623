"""Registries of two makes, with every way to log in, on this machine."""

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
TLS_HOST: Final = "127.0.0.2"  # loopback as plain HTTP is for 127.0.0.1 alone
# Passwords as bcrypt hashes.
USERS: Final = {
    "s3cret": "me:$2b$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK\n",
    "rotated": "me:$2b$05$abcdefghijklmnopqrstuua6F24UssnnXeyPXvJlLDMh9NzaVhdeu\n",
}


@dataclass
class Running:
    """A registry that runs; `config` is the dockerconfigjson that its clients read."""

    server: Server
    config: Path
    authority: Path | None = None
    users: Path | None = None
    tokens: TokenServer | None = None
    mounts: bool = True
    keeps_uploads: bool = True
    """Over a restart, and after a broken connection."""
    address: str = ""
    log: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        return self.address or self.server.address

    @property
    def access(self) -> RegistryAccess:
        return RegistryAccess(config=self.config, ca_bundle=self.authority)

    def through(self, proxy: BreakingProxy) -> Running:
        """The same one by another way."""
        there = replace(self, address=proxy.address)
        there.log_in()
        return there

    def log_in(self, username: str = "me", password: str = "s3cret") -> None:
        auth = base64.b64encode(f"{username}:{password}".encode()).decode()
        self.config.write_text(json.dumps({"auths": {self.host: {"auth": auth}}}))

    def client(self, access: RegistryAccess | None = None) -> RegistryClient:
        retry = Retry(attempts=5, backoff=Backoff(0.05, 30.0))
        return RegistryClient(access or self.access, retry=retry, log=self.log.append)

    def repository(self, name: str) -> Reference:
        return Reference(self.host, name)


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a registry of a kind, with more of distribution's configuration."""
    stops: list[Callable[[], None]] = []

    def make(kind: str, **settings: dict[str, Any]) -> Running:
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
def running(request: pytest.FixtureRequest, start: Start) -> Running:
    """Each kind of registry."""
    return start(request.param)


@pytest.fixture
def proxied(running: Running) -> Iterator[tuple[Running, BreakingProxy]]:
    """Each kind of registry, by a way that breaks."""
    proxy = BreakingProxy((running.server.host, running.server.port), running.server.host)
    yield running.through(proxy), proxy
    proxy.stop()


def _crane(folder: Path) -> Running:
    port = free_port()
    command = [program("crane"), "registry", "serve", "--address", f"127.0.0.1:{port}"]
    server = Server(command, port, folder)
    return Running(server, folder / "config.json", mounts=False, keeps_uploads=False)


def _distribution(kind: str, folder: Path, more: dict[str, dict[str, Any]]) -> Running:
    host = TLS_HOST if kind == "token" else "127.0.0.1"
    port = free_port(host)
    server = Server([program("registry"), "serve", "config.yaml"], port, folder, host=host)
    running = Running(server, folder / "config.json")
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


def kept(running: Running, repository: Reference, digest: str) -> bytes:
    """A blob as the registry keeps it, past our own client."""
    if running.tokens is None:
        return crane(running, "blob", f"{repository}@{digest}")
    (file,) = running.config.parent.glob(f"data/**/blobs/sha256/*/{digest.removeprefix('sha256:')}/data")
    return file.read_bytes()


def crane(running: Running, *arguments: str) -> bytes:
    """What another client says of what was pushed; it refuses token services at private addresses."""
    environment = {"DOCKER_CONFIG": str(running.config.parent), "PATH": "/usr/bin:/bin"}
    command = [program("crane"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout
