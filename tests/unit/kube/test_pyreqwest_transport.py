"""TLS of a kubeconfig or a pod's service account, against a server that requests certificates."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from modelyard.kube.config import ServerConfig
from modelyard.kube.pyreqwest_transport import PyreqwestTransport
from modelyard.kube.transport import Request, TransportError

VERSION = Request("GET", "/version")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def url(authority: trustme.CA) -> AsyncIterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL

    async def has_certificate(request: web.Request) -> web.Response:
        assert request.transport
        return web.Response(text=str(bool(request.transport.get_extra_info("peercert"))))

    app = web.Application()
    app.router.add_get("/version", has_certificate)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()
    for _ in range(10):  # until the connections of failed handshakes are closed, too
        await asyncio.sleep(0)


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
