"""A token service for registries: https://distribution.github.io/distribution/spec/auth/jwt/."""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from tests.support.certificates import Certificate

ISSUER: Final = "test-issuer"
SERVICE: Final = "test-registry"


class TokenServer:
    """Issues tokens, signed with the key, that contain the rights of each user."""

    def __init__(self, host: str, certificate: Certificate) -> None:
        self.users: dict[str, str] = {}
        self.rights: dict[str, dict[str, set[str]]] = {}
        """Actions by user and by prefix of a repository's name."""
        self.granted: list[list[dict[str, object]]] = []
        self._key = serialization.load_pem_private_key(certificate.key.read_bytes(), None)
        self._chain = _der(certificate.certificate)
        self._server = ThreadingHTTPServer((host, 0), self._handler())
        self._server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(0.01))
        self._thread.start()
        self.url = f"https://{host}:{self._server.server_port}/token"

    def stop(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def respond(self, authorization: str, scopes: list[str]) -> tuple[int, bytes]:
        """Return status and body of the response to a request for a token."""
        user, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        if user not in self.users or self.users[user] != password:
            return 401, b"{}"
        access = [self._grant(user, scope) for scope in scopes]
        self.granted.append(access)
        return 200, json.dumps({"token": self._token(user, access)}).encode()

    def _grant(self, user: str, scope: str) -> dict[str, object]:
        kind, name, actions = scope.split(":")
        allowed = {
            action
            for start, actions in self.rights.get(user, {}).items()
            if name.startswith(start)
            for action in actions
        }
        return {"type": kind, "name": name, "actions": [one for one in actions.split(",") if one in allowed]}

    def _token(self, user: str, access: list[dict[str, object]]) -> str:
        now = int(time.time())
        header = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(self._chain).decode()]}
        claims = {
            "iss": ISSUER,
            "sub": user,
            "aud": SERVICE,
            "nbf": now - 10,
            "iat": now,
            "exp": now + 300,
            "jti": secrets.token_hex(8),
            "access": access,
        }
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        assert isinstance(self._key, ec.EllipticCurvePrivateKey)
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_encoded(r.to_bytes(32) + s.to_bytes(32))}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
                status, body = server.respond(self.headers.get("Authorization", ""), scopes)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _der(certificate: Path) -> bytes:
    loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    return loaded.public_bytes(serialization.Encoding.DER)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
