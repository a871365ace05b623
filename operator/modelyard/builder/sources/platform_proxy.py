"""The platform's own proxy: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY in upper or lower case."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from io import BufferedIOBase
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from modelyard.oci.registry_config import Credential

CONNECT_SECONDS: Final = 10.0
_MAX_LINE_BYTES: Final = 64 * 1024
_MAX_HEADER_LINES: Final = 100
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_SUFFIX: Final = "_proxy"


class HostPort(NamedTuple):
    """The destination of a connection."""

    host: str
    port: int


def host_port_of(url: str) -> HostPort | None:
    """Return the host and port of an http(s) URL, None for another scheme or a malformed URL."""
    try:
        parts = urlsplit(url)
        return (
            HostPort(parts.hostname, parts.port or _DEFAULT_PORTS[parts.scheme]) if parts.hostname else None
        )
    except (ValueError, KeyError):
        return None


class PlatformProxies:
    """The proxies in environment variables."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        """Other variables are ignored. A name in lower case has precedence, as in curl."""
        self._proxies = {
            name.lower().removesuffix(_SUFFIX): variables[name]
            for name in sorted(variables)
            if name.lower().endswith(_SUFFIX) and variables[name]
        }

    def proxy_of(self, scheme: str, destination: HostPort) -> str | None:
        """Return the URL of the proxy for a destination, None for a direct connection."""
        if proxy_bypass_environment(f"{destination.host}:{destination.port}", self._proxies):
            return None
        return self._proxies.get(scheme) or self._proxies.get("all")


def connect_to_proxy(url: str) -> tuple[socket.socket, bytes]:
    """Connect to a proxy, and return the header with its login, empty without one. Raises OSError."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    remote = socket.create_connection((parts.hostname or "", port), CONNECT_SECONDS)
    if parts.scheme == "https":
        remote = ssl.create_default_context().wrap_socket(remote, server_hostname=parts.hostname)
    if not parts.username:
        return remote, b""
    login = Credential(unquote(parts.username), unquote(parts.password or ""))
    return remote, b"Proxy-Authorization: %b\r\n" % login.header.encode()


def open_tunnel(proxy: str, destination: HostPort) -> socket.socket:
    """Open a tunnel through a proxy. Raises OSError, and UnicodeError for a host that is no name."""
    address = authority_of(destination).encode("idna")
    remote, authorization = connect_to_proxy(proxy)
    remote.sendall(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (address, address, authorization))
    # Unbuffered: bytes after the head belong to the tunnel.
    with socket.SocketIO(remote, "rb") as response:
        status = read_head(response)[0].split(b" ")[1:2]
    if status != [b"200"]:
        remote.close()
        raise ConnectionError("the proxy of the platform refuses the connection")
    return remote


def authority_of(destination: HostPort) -> str:
    """Return `host:port` as in a URL."""
    host = f"[{destination.host}]" if ":" in destination.host else destination.host
    return f"{host}:{destination.port}"


def read_head(file: BufferedIOBase | socket.SocketIO) -> list[bytes]:
    """Return the first line and the header lines of a message.

    Raises ConnectionError for an incomplete head, or one with too many lines.
    """
    lines = [file.readline(_MAX_LINE_BYTES)]
    while lines[-1].strip():
        lines.append(file.readline(_MAX_LINE_BYTES))
        if len(lines) > _MAX_HEADER_LINES:
            raise ConnectionError
    if len(lines) == 1:
        raise ConnectionError
    return lines[:-1]
