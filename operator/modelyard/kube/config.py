"""Address, TLS settings and credentials of an API server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


async def anonymous() -> None:
    """Return no Authorization header."""


@dataclass(frozen=True)
class ServerConfig:
    """The address, TLS settings and credentials of an API server. Paths name PEM files."""

    url: str
    ca_path: str | None = None  # None: the authorities that the system trusts
    verify_tls: bool = True
    client_certificate_path: str | None = None
    client_key_path: str | None = None  # None: the key is in the file of the certificate
    proxy_url: str | None = None
    # Returns the Authorization header. It is called for each request: the token of a pod expires.
    authorization: Callable[[], Awaitable[str | None]] = anonymous
