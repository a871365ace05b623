"""TLS as a kubeconfig or a pod's service account has it, against a server that asks for certificates."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from kubernetes.aio.client import Configuration

from modelyard.kube.transport import Request, Transport, TransportError

ASKED = Request("GET", "/version")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def url(authority: trustme.CA) -> AsyncIterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL

    async def who(request: web.Request) -> web.Response:
        assert request.transport
        return web.Response(text=str(bool(request.transport.get_extra_info("peercert"))))

    app = web.Application()
    app.router.add_get("/version", who)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> Path:
    """Two authorities, as while a cluster changes its own; the one that counts is the second."""
    path = tmp_path / "ca.crt"
    path.write_bytes(trustme.CA().cert_pem.bytes() + authority.cert_pem.bytes())
    return path


async def answer(configuration: Configuration) -> bytes:
    transport = Transport(configuration)
    try:
        return (await transport.send(ASKED)).body
    finally:
        await transport.close()


async def test_a_bundle_of_authorities(url: str, bundle: Path) -> None:
    assert await answer(Configuration(host=url, ssl_ca_cert=str(bundle))) == b"False"


async def test_a_server_of_another_authority(url: str, tmp_path: Path) -> None:
    other = tmp_path / "other.crt"
    other.write_bytes(trustme.CA().cert_pem.bytes())
    with pytest.raises(TransportError, match="certificate"):
        await answer(Configuration(host=url, ssl_ca_cert=str(other)))


async def test_no_verification_where_the_kubeconfig_says_so(url: str) -> None:
    configuration = Configuration(host=url)
    configuration.verify_ssl = False
    assert await answer(configuration) == b"False"


async def test_a_client_certificate(url: str, authority: trustme.CA, bundle: Path, tmp_path: Path) -> None:
    own = authority.issue_cert("admin@example.com")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    configuration = Configuration(host=url, ssl_ca_cert=str(bundle))
    configuration.cert_file, configuration.key_file = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    assert await answer(configuration) == b"True"
