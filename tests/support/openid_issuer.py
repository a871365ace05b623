"""An OpenID issuer: tokens of ServiceAccounts, and the server from which others read the keys to verify them.

The server runs in a network namespace. The token service of versitygw reads keys from port 443 only, and from
no private or loopback address. `isolated` returns the command of a program in that namespace.
Its hosts file maps the name of the issuer to the server.
"""

from __future__ import annotations

import base64
import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from tests.support.certificates import Certificate, certificate_for

_ADDRESS: Final = "198.51.100.1"  # for documentation: https://www.rfc-editor.org/rfc/rfc5737
_SERVER: Final = Path(__file__).with_name("openid_server.py")
_DISCOVERY: Final = "openid-configuration"
_KEYS: Final = "keys"
_KEY_ID: Final = "test"


class Issuer:
    """The files of an issuer with a URL. It publishes the keys of `others`, and one key of its own."""

    def __init__(self, url: str, others: Sequence[Mapping[str, str]], folder: Path) -> None:
        self.url = url
        self.host = urlsplit(url).netloc
        self.certificate: Certificate = certificate_for(self.host, folder)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        point = self._key.public_key().public_numbers()
        own = {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": _KEY_ID}
        own |= {"x": unpadded(point.x.to_bytes(32)), "y": unpadded(point.y.to_bytes(32))}
        discovery = {"issuer": url, "jwks_uri": f"https://{self.host}/{_KEYS}"}
        (folder / _DISCOVERY).write_text(json.dumps(discovery))
        self._keys = [*others, own]
        (folder / _KEYS).write_text(json.dumps({"keys": self._keys}))
        (folder / "hosts").write_text(f"127.0.0.1 localhost\n{_ADDRESS} {self.host}\n")

    def token(self, subject: str, audience: str, *, expires_in: float, **claims: Any) -> str:
        """Return a token like that of a ServiceAccount, signed with the issuer's own key."""
        now = int(time.time())
        times = {"iat": now - 3600, "nbf": now - 3600, "exp": int(now + expires_in)}
        head = {"alg": "ES256", "kid": _KEY_ID}
        body = {"iss": self.url, "sub": subject, "aud": [audience], **times, **claims}
        signed = ".".join(unpadded(json.dumps(part).encode()) for part in (head, body))
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{unpadded(r.to_bytes(32) + s.to_bytes(32))}"

    def verified_claims(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that is valid now. Raises InvalidSignature and ValueError."""
        head, body, signature = token.split(".")
        key = next(key for key in self._keys if key["kid"] == json.loads(_bytes(head))["kid"])
        _verify(key, f"{head}.{body}".encode(), _bytes(signature))
        claims: dict[str, Any] = json.loads(_bytes(body))
        if claims["iss"] != self.url or claims["exp"] < time.time():
            raise ValueError("the token has expired, or another issuer")
        return claims

    def isolated(self, *command: str | Path) -> list[str]:
        """Return the command that runs a program beside the issuer's server, until the command is killed."""
        server = [sys.executable, "-I", _SERVER, _ADDRESS, self._folder, *command]
        script = (
            f"mount --bind {self._folder}/hosts /etc/hosts && ip link set lo up"
            f" && ip address add {_ADDRESS}/32 dev lo && exec {shlex.join(map(str, server))}"
        )
        spaces = ("--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child")
        return ["unshare", *spaces, "sh", "-c", script]


def unpadded(data: bytes) -> str:
    """Return the base64 of a part of a JWT."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _verify(key: Mapping[str, str], signed: bytes, signature: bytes) -> None:
    """Verify a signature with a JSON Web Key. Raises InvalidSignature."""
    numbers = {name: int.from_bytes(_bytes(key[name])) for name in ("n", "e", "x", "y") if name in key}
    if key["kty"] == "RSA":
        public = rsa.RSAPublicNumbers(numbers["e"], numbers["n"]).public_key()
        public.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        return
    point = ec.EllipticCurvePublicNumbers(numbers["x"], numbers["y"], ec.SECP256R1()).public_key()
    r, s = signature[:32], signature[32:]
    der = encode_dss_signature(int.from_bytes(r), int.from_bytes(s))
    point.verify(der, signed, ec.ECDSA(hashes.SHA256()))
