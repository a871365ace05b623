"""Serve the documents of an OpenID issuer by HTTPS, and run a program beside the server.

Arguments: the address, the folder with the documents, the program and its arguments. This file imports no
other one, because it runs in the folder of a test.
"""

from __future__ import annotations

import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def handler_of(folder: Path) -> type[BaseHTTPRequestHandler]:
    """Return a handler that serves the files of a folder by the last segment of a path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = (folder / self.path.rpartition("/")[2]).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


def main() -> int:
    """Serve until the program ends. Return its exit code."""
    address, folder = sys.argv[1], Path(sys.argv[2])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain.pem", folder / "server.key")
    server = ThreadingHTTPServer((address, 443), handler_of(folder))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return subprocess.run(sys.argv[3:], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
