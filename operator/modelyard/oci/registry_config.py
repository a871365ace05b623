"""How to reach registries: addresses, trust and credentials."""

from __future__ import annotations

import base64
import binascii
import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import httpx

from modelyard.oci.errors import RegistryForbiddenError

_HUB: Final = "docker.io"
_HUB_API: Final = "registry-1.docker.io"
_HUB_LOGIN: Final = "index.docker.io"  # the key that `docker login` writes for the hub
_LOOPBACK: Final = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")


@dataclass(frozen=True)
class Credential:
    """A user and its password, or a ready-made bearer token."""

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @property
    def header(self) -> str:
        """The value of an Authorization header."""
        if self.token:
            return f"Bearer {self.token}"
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


@dataclass(frozen=True)
class RegistryAccess:
    """Shared by the operator, by pushes and by `oci://` sources."""

    config: Path | None = None
    """A dockerconfigjson; read at each use, since the kubelet replaces the file when its Secret changes."""
    insecure: frozenset[str] = frozenset()
    """host[:port] of registries that speak plain HTTP, as dialled (after aliases); loopback always does."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """host[:port] in names of images → host[:port] to dial: engine and pod may name one registry apart."""
    ca_bundle: Path | None = None
    """PEM file of the authorities to trust; the system's by default."""

    def base_url(self, registry: str) -> str:
        """Where the API of the registry named in an image is."""
        address = self.aliases.get(registry, _HUB_API if registry == _HUB else registry)
        plain = address in self.insecure or _LOOPBACK.fullmatch(address)
        return f"{'http' if plain else 'https'}://{address}"

    def credential(self, registry: str) -> Credential | None:
        """What the dockerconfigjson holds for the registry; None when it is to be asked anonymously.

        Raises RegistryForbiddenError when the file cannot be used.
        """
        if self.config is None:
            return None
        try:
            return credential_of(self.config.read_bytes(), registry)
        except OSError as error:
            raise RegistryForbiddenError(
                f"the registry credentials cannot be read: {error.strerror}"
            ) from None

    def tls(self) -> ssl.SSLContext:
        return tls_context(self.ca_bundle)


def credential_of(dockerconfigjson: bytes | str, registry: str) -> Credential | None:
    """The entry for a registry; keys may carry a scheme and a path, as `docker login` writes them.

    Raises RegistryForbiddenError for what is no dockerconfigjson; its content is never part of the message.
    """
    try:
        entries: dict[str, dict[str, Any]] = json.loads(dockerconfigjson)["auths"]
        for key, entry in entries.items():
            host = key.removeprefix("https://").removeprefix("http://").partition("/")[0]
            if host == registry or (host == _HUB_LOGIN and registry == _HUB):
                return _credential(entry)
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        raise RegistryForbiddenError("the registry credentials are not a dockerconfigjson") from None
    return None


def _credential(entry: dict[str, Any]) -> Credential:
    if "auth" not in entry:
        return Credential(entry["username"], entry["password"])
    username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
    return Credential(username, password)


@cache
def tls_context(ca_bundle: Path | None) -> ssl.SSLContext:
    """Verifies against the bundle, or as httpx does by default (SSL_CERT_FILE, then certifi).

    One for all clients of a process: reading the authorities takes as long as a dozen requests.
    """
    return ssl.create_default_context(cafile=str(ca_bundle)) if ca_bundle else httpx.create_ssl_context()
