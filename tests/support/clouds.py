"""Stand-ins for the token services and object stores of AWS, Azure and Google, in one HTTP server.

A token of a ServiceAccount is the text `<namespace>/<name> for <audience>`, or `token_text` returns this
text. An account of a cloud trusts one ServiceAccount. A bucket lets one account read. Signatures of S3 are
verified.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.aws_signature import signature
from tests.support.web_server import QuietServer

AUDIENCES: Final = {
    "aws": "sts.amazonaws.com",
    "azure": "api://AzureADTokenExchange",
    "google": "https://google",
}
_AUTHORIZATION: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<scope>\d+/[^/]+/s3/aws4_request),"
    r" ?SignedHeaders=(?P<headers>[^,]+), ?Signature=(?P<signature>[0-9a-f]+)"
)


def token_of(service_account: str, audience: str) -> str:
    """Return the token of a ServiceAccount, `namespace/name`, for an audience."""
    return f"{service_account} for {audience}"


def _bucket(path: str) -> str:
    return unquote(urlsplit(path).path).split("/")[2 if path.startswith("/account/") else 1]


class Clouds:
    """The server. `requests` has the path and the body of each request to a token service."""

    def __init__(self) -> None:
        self.trust: dict[str, str] = {}
        """Account → the ServiceAccount that it trusts."""
        self.readers: dict[str, str] = {}
        """Bucket → the account that may read it."""
        self.failure: tuple[int, bytes] | None = None
        """Status and body of each response of the token services, None for the usual ones."""
        self.token_text: Callable[[str], str] = str
        """Return `<namespace>/<name> for <audience>` of a ServiceAccount's token."""
        self.access_token: Callable[[str], str] = lambda _: f"access-{len(self._credentials)}"
        """Return a new access token of an account of Azure or Google."""
        self.content: Callable[[str], bytes] = lambda path: f"content of {_bucket(path)}".encode()
        """Return the content of an object whose reader is allowed."""
        self.requests: list[tuple[str, str]] = []
        self.reads: list[str] = []
        self._credentials: dict[str, str] = {}  # credentials in a request to a store → account
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Write nothing to the log."""

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                server.requests.append((self.path, body))
                self._answer(*server.exchange(self.path, body, self.headers.get("Authorization", "")))

            def do_GET(self) -> None:
                server.reads.append(self.path)
                self._answer(*server.read(self.path, dict(self.headers.items())))

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("ETag", '"1"')
                self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
                if status == 307:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(body)

        self._server = QuietServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def exchange(self, path: str, body: str, authorization: str) -> tuple[int, bytes]:
        """Return status and body of a token service's response."""
        if self.failure:
            return self.failure
        if path.endswith(":generateAccessToken"):
            return self._impersonate(path, authorization)
        form = {key: values[0] for key, values in parse_qs(body).items()}
        if path == "/sts":
            return self._aws(form)
        if path.endswith("/oauth2/v2.0/token"):
            return self._azure(path, form)
        return self._google(form)

    def read(self, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
        """Return status and body of an object store's response."""
        headers = {name.lower(): value for name, value in headers.items()}
        shown = headers.get("authorization", "")
        if match := _AUTHORIZATION.fullmatch(shown):
            shown = f"{match['key']} {headers.get('x-amz-security-token')}"
            signed = {name: headers[name] for name in match["headers"].split(";")}
            secret = f"secret{match['key'].removeprefix('AKIA')}"
            digest, date = headers["x-amz-content-sha256"], headers["x-amz-date"]
            if match["signature"] != signature("GET", path, signed, digest, date, match["scope"], secret):
                return 403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>"
        account = self._credentials.get(shown)
        if account is None or self.readers.get(_bucket(path)) != account:
            return 403, b"<Error><Code>AccessDenied</Code></Error>"
        return 200, self.content(path)

    def _is_trusted(self, account: str, token: str, cloud: str) -> bool:
        return self.token_text(token) == token_of(self.trust.get(account, "nothing"), AUDIENCES[cloud])

    def _aws(self, form: dict[str, str]) -> tuple[int, bytes]:
        if not self._is_trusted(form["RoleArn"], form["WebIdentityToken"], "aws"):
            return 403, b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
        number = len(self._credentials)
        self._credentials[f"AKIA{number} session+{number}/="] = form["RoleArn"]
        return 200, (
            f"<AssumeRoleWithWebIdentityResponse><Credentials><AccessKeyId>AKIA{number}</AccessKeyId>"
            f"<SecretAccessKey>secret{number}</SecretAccessKey><SessionToken>session+{number}/=</SessionToken>"
            "</Credentials></AssumeRoleWithWebIdentityResponse>"
        ).encode()

    def _azure(self, path: str, form: dict[str, str]) -> tuple[int, bytes]:
        if not path.startswith("/tenant-id/") or not self._is_trusted(
            form["client_id"], form["client_assertion"], "azure"
        ):
            return 401, b'{"error": "invalid_client", "error_description": "the assertion is SECRET"}'
        return self._bearer(form["client_id"], "access_token")

    def _google(self, form: dict[str, str]) -> tuple[int, bytes]:
        subject = self.token_text(form["subject_token"])
        if form["audience"] != "//google" or not subject.endswith(AUDIENCES["google"]):
            return 400, b'{"error": "invalid_grant"}'
        return self._bearer(form["subject_token"], "access_token")

    def _impersonate(self, path: str, authorization: str) -> tuple[int, bytes]:
        account = unquote(path).rpartition("/")[2].partition(":")[0]
        if not self._is_trusted(account, self._credentials.get(authorization, ""), "google"):
            return 403, b'{"error": {"status": "PERMISSION_DENIED"}}'
        return self._bearer(account, "accessToken")

    def _bearer(self, account: str, field: str) -> tuple[int, bytes]:
        token = self.access_token(account)
        self._credentials[f"Bearer {token}"] = account
        return 200, json.dumps({field: token}).encode()
