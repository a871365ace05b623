"""TLS of a kubeconfig or a pod's service account, against a server that requests certificates."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from modelyard.kube.config import ServerConfig
from modelyard.kube.pyreqwest_transport import PyreqwestTransport
from modelyard.kube.transport import Request, TransportError

VERSION = Request("GET", "/version")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


class VersionHandler(BaseHTTPRequestHandler):
    """Answers whether the client has sent a certificate."""

    def do_GET(self) -> None:
        assert isinstance(self.connection, ssl.SSLSocket)
        body = str(bool(self.connection.getpeercert())).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write no access log."""


@pytest.fixture
def url(authority: trustme.CA) -> Iterator[str]:
    """A server in a thread: asyncio leaves transports of failed handshakes to the garbage collector."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    with ThreadingHTTPServer(("127.0.0.1", 0), VersionHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> Path:
    """Two authorities, as during a rotation. The second issued the server's certificate."""
    path = tmp_path / "ca.crt"
    path.write_bytes(trustme.CA().cert_pem.bytes() + authority.cert_pem.bytes())
    return path


async def body_of(server: ServerConfig) -> bytes:
    transport = PyreqwestTransport(server, user_agent="test")
    try:
        return (await transport.send(VERSION)).body
    finally:
        await transport.close()


async def test_bundle_of_authorities_is_trusted(url: str, bundle: Path) -> None:
    assert await body_of(ServerConfig(url, ca_path=str(bundle))) == b"False"


async def test_server_of_another_authority_is_not_trusted(url: str, tmp_path: Path) -> None:
    other = tmp_path / "other.crt"
    other.write_bytes(trustme.CA().cert_pem.bytes())
    with pytest.raises(TransportError, match="certificate"):
        await body_of(ServerConfig(url, ca_path=str(other)))


async def test_server_is_trusted_without_verification(url: str) -> None:
    assert await body_of(ServerConfig(url, verify_tls=False)) == b"False"


@pytest.mark.parametrize("is_one_file", [False, True], ids=["two files", "one file"])
async def test_client_certificate_is_sent(
    url: str, authority: trustme.CA, bundle: Path, tmp_path: Path, is_one_file: bool
) -> None:
    issued = authority.issue_cert("admin@example.com")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    if is_one_file:
        issued.private_key_and_cert_chain_pem.write_to_path(certificate)
    else:
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
    server = ServerConfig(
        url,
        ca_path=str(bundle),
        client_certificate_path=str(certificate),
        client_key_path=None if is_one_file else str(key),
    )
    assert await body_of(server) == b"True"
