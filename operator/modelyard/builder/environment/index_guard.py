"""The guard of a build: the only way to the network for the process with users' packages.

The guard applies the egress policy, and adds the credentials of the platform's indexes to requests below
their paths. For that it ends the TLS connections to these indexes, with certificates of an authority that
exists for one build only. All other TLS connections pass it unread.
"""

from __future__ import annotations

import contextlib
import ssl
from io import BufferedIOBase
from typing import TYPE_CHECKING, Final, cast

from modelyard.builder.environment.index_access import IndexAccess, default_ca_certificates
from modelyard.builder.environment.index_credentials import Origin, credential_for
from modelyard.builder.environment.index_settings import PublicIndexSettings
from modelyard.builder.environment.registry_files import HOSTS, FileReader, RegistryFiles
from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.builder.sources.egress_proxy import (
    IDLE_SECONDS,
    EgressProxy,
    ProxyConnection,
    origin_form,
)
from modelyard.builder.sources.platform_proxy import HostPort, host_port_of, read_head
from modelyard.coded_error import CodedError

if TYPE_CHECKING:
    from modelyard.builder.environment.build_authority import BuildAuthority

_METHODS: Final = frozenset({"GET", "HEAD"})
"""Methods of installers. Other requests to an index with a credential are refused."""
_AUTHORIZATION: Final = b"authorization:"


class IndexGuard(EgressProxy):
    """The guard as a context manager. It listens on loopback."""

    def __init__(self, access: IndexAccess, policy: EgressPolicy, files: RegistryFiles | None = None) -> None:
        """Create a guard, which serves `files` of the registry at hosts of its own."""
        trusted = frozenset(filter(None, map(host_port_of, access.trusted)))
        super().__init__(policy, trusted, access.proxies, checks_schemes=True, handler=_GuardConnection)
        self.access = access
        self.files = files or {}
        self._tls_origins = {item.origin for item in access.credentials if item.origin.scheme == "https"}
        self.authority: BuildAuthority | None = None
        if self._tls_origins:
            # Imported here: the import takes 50 ms, and most platforms need no credential.
            from modelyard.builder.environment.build_authority import BuildAuthority  # noqa: PLC0415

            self.authority = BuildAuthority()

    @property
    def settings(self) -> PublicIndexSettings:
        """Return the settings for clients: the URL of the guard, and the authorities to trust."""
        public = self.access.public
        certificates = public.ca_certificates
        if self.authority is not None:
            certificates = f"{certificates or default_ca_certificates()}\n{self.authority.certificate}"
        return public.model_copy(update={"proxy": self.url, "ca_certificates": certificates})

    def authority_for(self, origin: Origin) -> BuildAuthority | None:
        """Return the authority for an origin whose connections the guard ends, None for a tunnel."""
        return self.authority if origin in self._tls_origins else None

    def client_context(self, origin: Origin) -> ssl.SSLContext:
        """Return the TLS settings for the connection to an index."""
        context = ssl.create_default_context(cafile=self.access.ca_file)
        address = origin.address
        if {address.host, f"{address.host}:{address.port}"} & self.access.insecure_hosts:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.access.client_certificate:
            context.load_cert_chain(self.access.client_certificate)
        return context


class _GuardConnection(ProxyConnection):
    @property
    def _guard(self) -> IndexGuard:
        return cast("IndexGuard", self.server)

    def serve_tunnel(self, destination: HostPort) -> None:
        origin = Origin("https", destination)
        authority = self._guard.authority_for(origin)
        if authority is None:
            super().serve_tunnel(destination)
            return
        self.respond("200 Connection Established")
        context = authority.server_context(destination.host)
        with context.wrap_socket(self.connection, server_side=True) as client:
            client.settimeout(IDLE_SECONDS)
            with client.makefile("rb") as requests, client.makefile("wb", buffering=0) as responses:
                self.connection, self.rfile, self.wfile = client, requests, cast("BufferedIOBase", responses)
                self._serve_intercepted(origin)
            with contextlib.suppress(OSError):
                client.unwrap()

    def serve_request(self, destination: HostPort, method: str, target: str, headers: list[bytes]) -> None:
        if destination.host in HOSTS:
            with contextlib.suppress(CodedError):  # the client misses a part of the body
                self._serve_file(
                    self._guard.files.get(destination.host), origin_form(target).rpartition("/")[2]
                )
            return
        origin = Origin("http", destination)
        has_credential = any(item.origin == origin for item in self._guard.access.credentials)
        if has_credential and method not in _METHODS:
            self.respond("405 Method Not Allowed")
            return
        self.send(destination, method, *self._with_credential(origin, origin_form(target), headers))

    def _serve_file(self, read: FileReader | None, key: str) -> None:
        """Serve a file of the registry. Its name and digest are headers."""
        if read is None:
            self.respond("404 Not Found")
            return
        with read(key) as file:
            if file is None:
                self.respond("404 Not Found")
                return
            head = f"Content-Length: {file.size}\r\nContent-Location: {file.name}\r\nETag: {file.digest}"
            self.wfile.write(f"HTTP/1.1 200 OK\r\nConnection: close\r\n{head}\r\n\r\n".encode())
            for chunk in file.chunks:
                self.wfile.write(chunk)

    def _serve_intercepted(self, origin: Origin) -> None:
        """Serve one request of a TLS connection that the guard has ended."""
        request_line, *headers = read_head(self.rfile)
        method, _, rest = request_line.decode("latin-1").partition(" ")
        target = rest.partition(" ")[0]
        if method not in _METHODS or not target.startswith("/"):
            self.respond("405 Method Not Allowed")
            return
        remote = self.connect(origin.address)
        if remote is None:
            return
        context = self._guard.client_context(origin)
        try:
            encrypted = context.wrap_socket(remote, server_hostname=origin.address.host)
        except OSError:
            remote.close()
            self.respond("502 Bad Gateway")
            return
        with encrypted:
            self.forward(encrypted, method, *self._with_credential(origin, target, headers))

    def _with_credential(self, origin: Origin, target: str, headers: list[bytes]) -> tuple[str, list[bytes]]:
        """Return the target and the headers of a request with the credential for its path, if any."""
        found = credential_for(self._guard.access.credentials, origin, target)
        if found is None or any(header.lower().startswith(_AUTHORIZATION) for header in headers):
            return target, headers
        if found.authorization:
            headers = [*headers, f"Authorization: {found.authorization}\r\n".encode("latin-1")]
        return found.path(target), headers
