"""A renewed certificate, which the gateway serves without a restart."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from modelyard.https.certificate import renew

AUTHORITY = trustme.CA()


class Served:
    """A TLS server whose certificate is in two files, as in a mounted Secret."""

    def __init__(self, folder: Path):
        self.certificate, self.key = folder / "tls.crt", folder / "tls.key"
        self.replace()
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(self.certificate, self.key)
        self.port = 0

    def replace(self) -> None:
        """Write the files of a new certificate."""
        issued = AUTHORITY.issue_cert("localhost")
        issued.cert_chain_pems[0].write_to_path(self.certificate)
        issued.private_key_pem.write_to_path(self.key)

    async def certificate_of_handshake(self) -> bytes:
        """Connect, and return the certificate of the server."""
        trusting = ssl.create_default_context()
        AUTHORITY.configure_trust(trusting)
        _, writer = await asyncio.open_connection("localhost", self.port, ssl=trusting)
        found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        await writer.wait_closed()
        return found


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    polls: list[float] = []

    async def sleep(seconds: float) -> None:
        polls.append(seconds)
        await asyncio.sleep(0)

    served = Served(tmp_path)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "localhost", ssl=served.context)
    served.port = server.sockets[0].getsockname()[1]
    renewal = asyncio.create_task(renew(served.context, served.certificate, served.key, sleep))
    await asyncio.sleep(0)
    yield served
    renewal.cancel()
    server.close()


async def wait_for_another(served: Served, before: bytes) -> bytes:
    async with asyncio.timeout(30):
        while (found := await served.certificate_of_handshake()) == before:
            await asyncio.sleep(0)
    return found


async def test_renewed_certificate_is_served(served: Served) -> None:
    before = await served.certificate_of_handshake()
    assert await served.certificate_of_handshake() == before
    served.replace()
    assert await wait_for_another(served, before) != before


@pytest.mark.parametrize(
    "content", [b"a part of it", AUTHORITY.cert_pem.bytes()], ids=["broken", "of another key"]
)
async def test_invalid_certificate_leaves_the_old_one_in_use(
    served: Served, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    before = await served.certificate_of_handshake()
    served.certificate.write_bytes(content)
    async with asyncio.timeout(30):
        while "cannot load" not in caplog.text:
            await asyncio.sleep(0)
    assert await served.certificate_of_handshake() == before
    served.replace()
    assert await wait_for_another(served, before) != before
