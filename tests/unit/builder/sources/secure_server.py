"""A WebServer with TLS."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme
from tests.support.web_server import WebServer


@contextmanager
def tls_server(folder: Path) -> Iterator[WebServer]:
    """Run a server for 127.0.0.1 whose authority is in `ca.pem` of the folder."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    server = WebServer(tls)
    try:
        yield server
    finally:
        server.stop()
