"""A certificate that is renewed is served without a restart."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from modelyard.gateway import certificate
from modelyard.gateway.certificate import renew

AUTHORITY = trustme.CA()


class Served:
    """A TLS server whose certificate is in two files, as in a mounted Secret."""

    def __init__(self, folder: Path):
        self.certificate, self.key = folder / "tls.crt", folder / "tls.key"
        self.put()
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(self.certificate, self.key)
        self.port = 0

    def put(self) -> None:
        """A new certificate."""
        issued = AUTHORITY.issue_cert("localhost")
        issued.cert_chain_pems[0].write_to_path(self.certificate)
        issued.private_key_pem.write_to_path(self.key)

    async def seen(self) -> bytes:
        """The certificate that a client sees."""
        trusting = ssl.create_default_context()
        AUTHORITY.configure_trust(trusting)
        _, writer = await asyncio.open_connection("localhost", self.port, ssl=trusting)
        found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        await writer.wait_closed()
        return found


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr(certificate, "_PAUSE", 0)
    served = Served(tmp_path)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "localhost", ssl=served.context)
    served.port = server.sockets[0].getsockname()[1]
    renewing = asyncio.create_task(renew(served.context, served.certificate, served.key))
    await asyncio.sleep(0)
    yield served
    renewing.cancel()
    server.close()


async def eventually_other_than(served: Served, before: bytes) -> bytes:
    async with asyncio.timeout(30):
        while (found := await served.seen()) == before:
            await asyncio.sleep(0)
    return found


async def test_a_renewed_certificate_is_served(served: Served) -> None:
    before = await served.seen()
    assert await served.seen() == before
    served.put()
    assert await eventually_other_than(served, before) != before


@pytest.mark.parametrize(
    "content", [b"half of it", AUTHORITY.cert_pem.bytes()], ids=["broken", "of another key"]
)
async def test_one_that_cannot_be_used_leaves_the_old_one(
    served: Served, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    before = await served.seen()
    served.certificate.write_bytes(content)
    async with asyncio.timeout(30):
        while "cannot be used" not in caplog.text:
            await asyncio.sleep(0)
    assert await served.seen() == before
    served.put()
    assert await eventually_other_than(served, before) != before
