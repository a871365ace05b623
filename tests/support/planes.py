"""The data plane of public URLs: a Gateway of the local cluster, and its address on this machine."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

HOST: Final = "localhost"
"""A host of each plane's certificate that every client resolves."""


@dataclass(frozen=True)
class Plane:
    """A Gateway with one listener for https."""

    gateway: str
    namespace: str
    port: int  # of the listener, and at `address`
    address: str  # IP address at which this machine reaches the data plane
    ca: Path

    @property
    def url(self) -> str:
        """Return the URL of HOST, as the status of a Service has it."""
        return f"https://{HOST}:{self.port}"

    def client(self, **settings: Any) -> httpx.Client:
        """Return a client that connects to the data plane for each host."""
        transport = _Via(self.address, verify=ssl.create_default_context(cafile=self.ca))
        return httpx.Client(transport=transport, timeout=60, **settings)


def present_plane() -> Plane:
    """Return the data plane of the environment.

    It is Traefik with .cluster/env, and Envoy Gateway with .cluster/envoy.env in addition. Raises KeyError if
    the cluster has none.
    """
    namespace, _, gateway = os.environ["HTTPS_GATEWAY"].partition("/")
    port, address = int(os.environ["HTTPS_PORT"]), os.environ["HTTPS_ADDRESS"]
    return Plane(gateway, namespace, port, address, Path(os.environ["HTTPS_CA"]))


class _Via(httpx.HTTPTransport):
    """Connects to one address, with the host of the URL in TLS and in the Host header."""

    def __init__(self, address: str, **settings: Any) -> None:
        super().__init__(**settings)
        self._address = address

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions["sni_hostname"] = request.url.host
        request.url = request.url.copy_with(host=self._address)
        return super().handle_request(request)
