"""The TLS context of the custom metrics API: its certificate, and the authority of the API server."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

from modelyard.kube.client import Client
from modelyard.kube.errors import KubeError
from modelyard.scaler.authentication import RequestHeaders, read_request_headers
from modelyard.scaler.certificate import Certificate, CertificateMissingError, CertificateSecret, trust

READ_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 2.0

_LOG: Final = logging.getLogger(__name__)

Use = Callable[[ssl.SSLContext, RequestHeaders], None]
"""Receives a new context, and how the API server proves the identity of callers."""


class TlsSettings:
    """Reads the certificate and the API server's settings each minute, and passes changes on."""

    def __init__(
        self,
        client: Client,
        secret: CertificateSecret,
        use: Use,
        *,
        is_aggregated: bool,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`is_aggregated` is False if the API server calls another adapter: then no APIService is changed."""
        self._client = client
        self._secret = secret
        self._use = use
        self._is_aggregated = is_aggregated
        self._now = now
        self._sleep = sleep
        self._used: tuple[Certificate, RequestHeaders] | None = None
        self.problem = "the certificate is not read yet"
        """Why the API server cannot call the scaler; empty if it can."""

    async def run(self) -> None:
        """Keep the context up to date until cancelled."""
        while True:
            try:
                await self.refresh()
                self.problem = ""
            except (KubeError, CertificateMissingError, ValueError, OSError) as error:
                _LOG.warning("TLS of the custom metrics API: %s; it is tried again", error)
                if self._used is None:
                    self.problem = str(error)
            await self._sleep(READ_SECONDS if self._used else RETRY_SECONDS)

    async def refresh(self) -> None:
        """Read both, and use them if they have changed.

        Raises KubeError, CertificateMissingError, OSError (of TLS), and ValueError for settings that are not
        valid.
        """
        certificate = await self._secret.read(self._now())
        headers = await read_request_headers(self._client)
        if (certificate, headers) != self._used:
            self._use(_context(certificate, headers), headers)
            self._used = certificate, headers
        if self._is_aggregated:
            await trust(self._client, certificate.authorities)


def _context(certificate: Certificate, headers: RequestHeaders) -> ssl.SSLContext:
    """Return a context that asks for a client certificate, and also accepts a client without one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with _private_file(certificate.certificate + certificate.key) as file:
        context.load_cert_chain(file)
    if headers.authority:
        context.load_verify_locations(cadata=headers.authority)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


@contextlib.contextmanager
def _private_file(content: bytes) -> Iterator[Path]:
    """Yield a file with a content, which is deleted at the end: Python reads certificates from files only."""
    with tempfile.NamedTemporaryFile(prefix="tls-") as file:
        file.write(content)
        file.flush()
        yield Path(file.name)
