"""The gateway's certificate, which is renewed while the process lives: cert-manager does so now and then."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path
from typing import Final

_LOG: Final = logging.getLogger(__name__)
_PAUSE: Final = 30.0  # seconds between looks; the kubelet needs a minute to bring a Secret's news


async def renew(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Load the certificate again whenever its files change, for connections from then on.

    Files that cannot be used are left for the next look: one of the two may have still to come.
    """
    loaded = _content(certificate, key)
    while True:
        await asyncio.sleep(_PAUSE)
        try:
            found = _content(certificate, key)
            if found != loaded:
                # A pair that does not fit would leave the context without a key.
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
                context.load_cert_chain(certificate, key)
                loaded = found
                _LOG.info("the certificate %s was renewed", certificate)
        except OSError as error:  # ssl.SSLError is one
            _LOG.warning("the renewed certificate %s cannot be used: %s", certificate, error)


def _content(*files: Path) -> list[bytes]:
    return [file.read_bytes() for file in files]
