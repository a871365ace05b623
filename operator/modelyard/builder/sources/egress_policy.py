"""The egress policy of downloads: URL schemes and network addresses that are allowed.

An audit hook checks an address when a socket connects. At that time names are resolved and redirects
followed, so that neither can bypass the policy. The library for object stores, uv and rattler open sockets
outside of Python. They connect through the proxy in egress_proxy.py, where the same hook checks addresses.
If the platform has a proxy of its own, that proxy resolves names. Then hosts that are IP addresses, in any
spelling, are checked before the request, and the platform's proxy has to deny names.

The policy does not cover pip in a Docker engine and the driver of an image: use a NetworkPolicy.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from modelyard.builder.sources.reached_addresses import Address, reached_addresses
from modelyard.contract.build_pod import BuildVariable
from modelyard.contract.build_request import Source
from modelyard.contract.errors import SourceDeniedError
from modelyard.contract.urls import scheme
from modelyard.object_stores.credentials import endpoints
from modelyard.redaction import split_url

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_INET: Final = {socket.AF_INET, socket.AF_INET6}


@dataclass(frozen=True)
class EgressPolicy:
    """Allowed URL schemes and networks. The default allows all."""

    schemes: frozenset[str] | None = None
    """Allowed schemes, None for all."""
    denied: tuple[Network, ...] = ()
    allowed: tuple[Network, ...] = ()
    """Exceptions from `denied`."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> EgressPolicy:
        """Return the policy in the variables of a build pod. Raises ValueError for an invalid CIDR block."""
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
    def enforced_for(self, source: Source) -> Iterator[None]:
        """Apply the policy to the download of a source inside the block. Raises SourceDeniedError."""
        self.check_scheme(source.url or "data:")
        with self.connecting():
            yield

    @contextlib.contextmanager
    def connecting(self) -> Iterator[None]:
        """Check the address of each connection of this thread inside the block. Raises SourceDeniedError."""
        if not self.denied:
            yield
            return
        _install_audit_hook()
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)

    def check_scheme(self, url: str) -> None:
        """Raise SourceDeniedError if the scheme of the URL is not allowed."""
        kind = scheme(url)
        if self.schemes is not None and kind not in self.schemes:
            allowed = ", ".join(sorted(self.schemes))
            raise SourceDeniedError(f"urls that start with {kind[:20]!r} are not allowed here: use {allowed}")

    def check(self, address: str) -> None:
        """Raise SourceDeniedError if a connection to the IP address may reach a denied address."""
        if any(map(self._denies, reached_addresses(address))):
            raise SourceDeniedError(
                "the url leads to an address in build.sources.deniedNetworks: use another host"
            )

    def check_literal(self, host: str) -> None:
        """Raise SourceDeniedError for a host that is a denied IP address in any spelling.

        Names are not resolved: behind a proxy, the network often has no name server for them.
        """
        if not self.denied:
            return
        # UnicodeError for a label that is too long, socket.gaierror for a name.
        with contextlib.suppress(OSError, UnicodeError):
            for found in socket.getaddrinfo(host, 0, flags=socket.AI_NUMERICHOST):
                self.check(str(found[4][0]))

    def _denies(self, address: Address) -> bool:
        denied = any(address in network for network in self.denied)
        return denied and not any(address in network for network in self.allowed)

    def check_endpoints(self, credentials: Mapping[str, str]) -> None:
        """Raise SourceDeniedError if an endpoint of an object store resolves to an address that is denied."""
        for endpoint in endpoints(credentials):
            parts = split_url(endpoint)
            # The download reports a name that cannot be resolved: UnicodeError for a label that is too long.
            with contextlib.suppress(OSError, UnicodeError):
                for found in socket.getaddrinfo(parts.hostname if parts else None, 0):
                    self.check(str(found[4][0]))


_CURRENT: Final[ContextVar[EgressPolicy | None]] = ContextVar("policy", default=None)


@cache
def _install_audit_hook() -> None:
    """Install a hook on socket.connect for the whole process. Python has no way to remove it."""
    sys.addaudithook(_check_connect)


def _check_connect(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect":
        return
    policy = _CURRENT.get()
    if policy and arguments[0].family in _INET:
        try:
            policy.check(arguments[1][0])
        except SourceDeniedError:
            arguments[0].close()  # callers close the socket for an OSError only
            raise
