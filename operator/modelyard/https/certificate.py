"""The renewal of a server's certificate while the server runs: cert-manager replaces the files."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

_LOG: Final = logging.getLogger(__name__)
_POLL_SECONDS: Final = 30.0  # the kubelet takes about a minute to update a mounted Secret


async def renew(
    context: ssl.SSLContext,
    certificate: Path,
    key: Path,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Load the certificate for new connections whenever its files change. Runs until it is cancelled.

    Files that do not match are loaded at a later poll, since the second file may still be the old one.
    """
    loaded = _read(certificate, key)
    while True:
        await sleep(_POLL_SECONDS)
        try:
            current = _read(certificate, key)
            if current != loaded:
                # Load into a new context first: files that do not match would leave the old one keyless.
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
                context.load_cert_chain(certificate, key)
                loaded = current
                _LOG.info("loaded the renewed certificate %s", certificate)
        except OSError as error:  # ssl.SSLError is a subclass
            _LOG.warning("cannot load the renewed certificate %s: %s", certificate, error)


def _read(*files: Path) -> list[bytes]:
    return [file.read_bytes() for file in files]
