"""Where a download may lead: which schemes, and which addresses.

Addresses are looked at when a socket connects, after names were resolved and redirects followed, so that no
name and no redirect leads around it. Stores are reached by a library with sockets of its own: there the
endpoint of a Secret is resolved and looked at beforehand. Packages come by way of the guard beside this file.
What pip in a Docker engine and a driver reach is for a NetworkPolicy to say.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

from modelyard.contract.build_pod import BuildVariable
from modelyard.contract.build_request import Source
from modelyard.contract.errors import SourceDeniedError
from modelyard.contract.urls import scheme

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_INET: Final = {socket.AF_INET, socket.AF_INET6}


@dataclass(frozen=True)
class EgressPolicy:
    """What is allowed; everything by default. `allowed` makes exceptions from `denied`."""

    schemes: frozenset[str] | None = None
    denied: tuple[Network, ...] = ()
    allowed: tuple[Network, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> EgressPolicy:
        """From lists with spaces; raises ValueError for what is no network."""
        schemes = environment.get(BuildVariable.FETCH_SCHEMES)
        return cls(
            schemes=frozenset(schemes.split()) if schemes else None,
            denied=tuple(
                map(ipaddress.ip_network, environment.get(BuildVariable.FETCH_DENIED_NETWORKS, "").split())
            ),
            allowed=tuple(
                map(ipaddress.ip_network, environment.get(BuildVariable.FETCH_ALLOWED_NETWORKS, "").split())
            ),
        )

    @contextlib.contextmanager
    def watching(self, source: Source) -> Iterator[None]:
        """Hold a download to it; SourceDeniedError for what it does not allow."""
        self.check_scheme(source.url or "data:")
        self._check_endpoints(source)
        with self.connecting():
            yield

    @contextlib.contextmanager
    def connecting(self) -> Iterator[None]:
        """Look at what this thread connects to; SourceDeniedError for what is not allowed."""
        if not self.denied:
            yield
            return
        _listen()
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)

    def check_scheme(self, url: str) -> None:
        """SourceDeniedError for one that is not allowed."""
        kind = scheme(url)
        if self.schemes is not None and kind not in self.schemes:
            raise SourceDeniedError(f"urls that start with {kind[:20]!r} are not allowed here")

    def check(self, address: str) -> None:
        """SourceDeniedError for an address that is not allowed."""
        ip = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(ip, "ipv4_mapped", None) or ip
        if any(mapped in network for network in self.denied) and not any(
            mapped in network for network in self.allowed
        ):
            raise SourceDeniedError("the url leads to an address that downloads may not use here")

    def _check_endpoints(self, source: Source) -> None:
        for endpoint in endpoints(source.credentials):
            host = urlsplit(endpoint).hostname
            if host:
                with contextlib.suppress(OSError):  # a name that is not known: the download says so
                    for found in socket.getaddrinfo(host, None):
                        self.check(str(found[4][0]))


def endpoints(credentials: Mapping[str, str]) -> list[str]:
    """Addresses of stores that a Secret names; a Google key may carry one inside."""
    named = [credentials.get(name) for name in ("AWS_ENDPOINT_URL", "AZURE_ENDPOINT")]
    with contextlib.suppress(ValueError, AttributeError):
        named.append(json.loads(credentials.get("GOOGLE_SERVICE_ACCOUNT_KEY", "")).get("gcs_base_url"))
    return [str(endpoint) for endpoint in named if endpoint]


_CURRENT: Final[ContextVar[EgressPolicy | None]] = ContextVar("policy", default=None)


@cache
def _listen() -> None:
    """See every socket of this process connect; there is no way to stop it, and no need."""
    sys.addaudithook(_connects)


def _connects(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect":
        return
    policy = _CURRENT.get()
    if policy and arguments[0].family in _INET:
        try:
            policy.check(arguments[1][0])
        except SourceDeniedError:
            arguments[0].close()  # whoever opened it closes it for an OSError only
            raise
