"""Configuration of the access to registries: addresses, CA certificates and credentials."""

from __future__ import annotations

import base64
import binascii
import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

import httpx

from modelyard.oci.errors import RegistryForbiddenError, RegistryUnavailableError

_HUB: Final = "docker.io"
_HUB_API: Final = "registry-1.docker.io"
_HUB_CONFIG_KEY: Final = "index.docker.io"  # the key that `docker login` writes for docker.io
_LOOPBACK: Final = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")


@dataclass(frozen=True)
class Credential:
    """A user name and a password, or a bearer token."""

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @property
    def header(self) -> str:
        """Return the value of the Authorization header."""
        if self.token:
            return f"Bearer {self.token}"
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


@dataclass(frozen=True)
class RegistryAccess:
    """Access to registries, shared by the operator, by pushes and by `oci://` sources."""

    config: Path | None = None
    """Path of a dockerconfigjson.

    Each use reads the file again, because the kubelet replaces it when the Secret changes.
    """
    insecure: frozenset[str] = frozenset()
    """`host[:port]` of registries with plain HTTP, after aliases. Loopback registries need no entry."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """`host[:port]` in names of images → `host[:port]` to connect to.

    A Docker engine and a pod may have different addresses of the same registry.
    """
    ca_bundle: Path | None = None
    """PEM file of the trusted CA certificates, those of the system by default.

    A changed file is read again, because the kubelet replaces it when the ConfigMap changes.
    """

    def base_url(self, registry: str) -> str:
        """Return the URL of a registry's API, without a path, for the registry's name in images."""
        address = self.aliases.get(registry, _HUB_API if registry == _HUB else registry)
        plain = address in self.insecure or _LOOPBACK.fullmatch(address)
        return f"{'http' if plain else 'https'}://{address}"

    def credential(self, registry: str) -> Credential | None:
        """Return the credential for a registry in the dockerconfigjson, None for anonymous access.

        Raises RegistryForbiddenError if the file cannot be read or parsed.
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
        """Return the TLS context for all connections to registries.

        Raises RegistryUnavailableError if the CA bundle cannot be read or parsed.
        """
        return tls_context(self.ca_bundle)


def credential_of(dockerconfigjson: bytes | str, registry: str) -> Credential | None:
    """Return the entry for a registry, None if there is none.

    Keys may have a scheme and a path, because `docker login` writes such keys. Raises RegistryForbiddenError
    for a text that is not a dockerconfigjson; the message contains nothing of the text.
    """
    try:
        entries: dict[str, dict[str, Any]] = json.loads(dockerconfigjson)["auths"]
        for key, entry in entries.items():
            host = key.removeprefix("https://").removeprefix("http://").partition("/")[0]
            if host == registry or (host == _HUB_CONFIG_KEY and registry == _HUB):
                return _credential(entry)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error):
        raise RegistryForbiddenError("the registry credentials are not a dockerconfigjson") from None
    return None


def _credential(entry: dict[str, Any]) -> Credential:
    if "auth" not in entry:
        return Credential(entry["username"], entry["password"])
    username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
    return Credential(username, password)


def tls_context(ca_bundle: Path | None) -> ssl.SSLContext:
    """Return a context that verifies against the bundle, by default like httpx (SSL_CERT_FILE, then certifi).

    All clients of a process share one context: to load the CA certificates takes as long as a dozen requests.
    The context is another one after the file has changed. Raises RegistryUnavailableError if the file cannot
    be read or parsed: the kubelet may replace it at this moment.
    """
    if ca_bundle is None:
        return _system_context()
    try:
        return _bundle_context(ca_bundle, ca_bundle.stat().st_mtime_ns)
    except OSError as error:  # ssl.SSLError is an OSError
        reason = error.strerror or type(error).__name__
        raise RegistryUnavailableError(f"the CA bundle {ca_bundle} cannot be read: {reason}") from None


@cache
def _system_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()


@lru_cache(maxsize=4)
def _bundle_context(ca_bundle: Path, modified_ns: int) -> ssl.SSLContext:
    """Return the context of a bundle; `modified_ns` is part of the key of the cache only."""
    return ssl.create_default_context(cafile=str(ca_bundle))
