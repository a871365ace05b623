"""A registry in memory with the API of the OCI distribution specification, which can fail on demand."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Final
from urllib.parse import parse_qs, urlsplit

from tests.support.web_server import QuietServer

_UPLOADS: Final = re.compile(r"/v2/(?P<repository>.+)/blobs/uploads/(?P<session>\w*)")
_BLOB: Final = re.compile(r"/v2/(?P<repository>.+)/blobs/(?P<digest>sha256:\w+)")
_MANIFEST: Final = re.compile(r"/v2/(?P<repository>.+)/manifests/(?P<name>[\w:.-]+)")


@dataclass(frozen=True)
class Call:
    """A request. `size` is the number of bytes of its body that were read."""

    method: str
    path: str
    headers: dict[str, str]
    size: int = 0


class FakeRegistry:
    """Blobs and manifests, open uploads, and the requests so far.

    Keys of `blobs` and `manifests` are repository and digest, or repository and tag.
    """

    def __init__(self) -> None:
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.sessions: dict[str, bytearray] = {}
        self.uncounted: dict[str, bytes] = {}
        """For each upload, its bytes with those of a broken PATCH that are not counted yet."""
        self.calls: list[Call] = []
        self.refuse: Callable[[Call], tuple[int, dict[str, str]] | None] = lambda _: None
        """Returns status and headers of an error for a request, before its body is read; None to serve it."""
        self.break_after: list[int] = []
        """For each of the next PATCH requests, the bytes of its body after which the connection breaks."""
        self.notices_breaks_late = False
        """True if the bytes of a broken PATCH are counted only once the next PATCH begins."""
        self.loses_broken_uploads = False
        """True if a broken connection ends the upload."""
        self.deletion_enabled = True
        self.lists_referrers = False
        self.missing_blob_status: int | None = None
        """Status of the response to a manifest whose blobs are missing. By default, it is accepted."""
        self.connections = 0
        self._count = 0
        self._server = QuietServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(0.01))
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def requests(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method == method]

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def new_session(self) -> str:
        self._count += 1
        self.sessions[f"s{self._count}"] = bytearray()
        return f"s{self._count}"

    def _handler(self) -> type[_Handler]:
        return type("Handler", (_Handler,), {"registry": self})


class _Handler(BaseHTTPRequestHandler):
    registry: FakeRegistry
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.registry.connections += 1

    def _handle(self) -> None:
        call = Call(self.command, self.path, {key.lower(): value for key, value in self.headers.items()})
        refusal = self.registry.refuse(call)
        if refusal:
            self.registry.calls.append(call)
            status, headers = refusal
            self._respond(status, {"Connection": "close"} | headers)
            return
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        for pattern, handle in ((_UPLOADS, self._upload), (_BLOB, self._blob), (_MANIFEST, self._manifest)):
            found = pattern.fullmatch(url.path)
            if found:
                handle(call, query, **found.groupdict())
                return
        self.registry.calls.append(call)
        self._respond(404)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

    def _upload(self, call: Call, query: dict[str, str], repository: str, session: str) -> None:
        limit, start = None, 0
        if self.command == "PATCH" and session in self.registry.sessions:
            start = self._received_bytes(session)
            if self.registry.break_after:
                limit = self.registry.break_after.pop(0)
        body = self._read(limit)
        self.registry.calls.append(Call(call.method, call.path, call.headers, len(body)))
        if self.command == "POST":
            self._start(query, repository)
        elif session not in self.registry.sessions:
            self._respond(404)
        elif self.command == "PATCH":
            self._append(body, repository, session, start, breaks=limit is not None)
        elif self.command == "PUT":
            self._commit(body, repository, session, query["digest"])
        elif self.command == "DELETE":
            del self.registry.sessions[session]
            self._respond(204)
        else:
            self._session(204, session, repository)

    def _start(self, query: dict[str, str], repository: str) -> None:
        blob = self.registry.blobs.get((query.get("from", ""), query.get("mount", "")))
        if blob is None:
            self._session(202, self.registry.new_session(), repository)
        else:
            self.registry.blobs[repository, query["mount"]] = blob
            self._respond(201)

    def _received_bytes(self, session: str) -> int:
        received = self.registry.sessions[session]
        received[:] = self.registry.uncounted.pop(session, received)
        return len(received)

    def _append(self, body: bytes, repository: str, session: str, start: int, *, breaks: bool) -> None:
        """Append a body. Two requests of one upload overwrite each other, as in a registry on files."""
        received = self.registry.sessions[session]
        content_range = self.headers.get("Content-Range")
        if content_range and content_range != f"{start}-{start + int(self.headers['Content-Length']) - 1}":
            self._respond(416)
            return
        if breaks and self.registry.notices_breaks_late:
            self.registry.uncounted[session] = bytes(received) + body
        else:
            received[start : start + len(body)] = body
        if not breaks:
            self._session(202, session, repository)
            return
        if self.registry.loses_broken_uploads:
            del self.registry.sessions[session]
        self.close_connection = True

    def _commit(self, body: bytes, repository: str, session: str, digest: str) -> None:
        content = bytes(self.registry.sessions[session]) + body
        if digest != digest_of(content):
            self._respond(400, body=_error("DIGEST_INVALID", "provided digest did not match"))
            return
        del self.registry.sessions[session]
        self.registry.blobs[repository, digest] = content
        self._respond(201)

    def _session(self, status: int, session: str, repository: str) -> None:
        size = len(self.registry.sessions[session])
        location = f"/v2/{repository}/blobs/uploads/{session}?state={size}"
        self._respond(status, {"Location": location, "Range": f"0-{max(0, size - 1)}"})

    def _blob(self, call: Call, _query: dict[str, str], repository: str, digest: str) -> None:
        self.registry.calls.append(call)
        blob = self.registry.blobs.get((repository, digest))
        self._respond(404) if blob is None else self._respond(200, body=blob)

    def _manifest(self, call: Call, _query: dict[str, str], repository: str, name: str) -> None:
        body = self._read()
        registry = self.registry
        registry.calls.append(Call(call.method, call.path, call.headers, len(body)))
        if self.command == "PUT" and registry.missing_blob_status and not self._has_blobs(repository, body):
            self._respond(
                registry.missing_blob_status, body=_error("MANIFEST_BLOB_UNKNOWN", "blob unknown to registry")
            )
        elif self.command == "PUT":
            registry.manifests[repository, name] = registry.manifests[repository, digest_of(body)] = body
            listed = registry.lists_referrers and "subject" in json.loads(body)
            self._respond(201, {"OCI-Subject": "yes"} if listed else {})
        elif self.command == "DELETE" and not registry.deletion_enabled:
            self._respond(405)
        elif (repository, name) not in registry.manifests:
            self._respond(404)
        elif self.command == "DELETE":
            del registry.manifests[repository, name]
            self._respond(202)
        else:
            self._respond(200, body=registry.manifests[repository, name])

    def _has_blobs(self, repository: str, body: bytes) -> bool:
        manifest = json.loads(body)
        blobs = [manifest[key] for key in ("config",) if key in manifest] + manifest.get("layers", [])
        return all((repository, blob["digest"]) in self.registry.blobs for blob in blobs)

    def _read(self, limit: int | None = None) -> bytes:
        """Return the body, or its first `limit` bytes."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            size = int(self.headers.get("Content-Length", 0))
            return self.rfile.read(size if limit is None else min(limit, size))
        body = b""
        while size := int(self.rfile.readline() or b"0", 16):  # a client may hang up
            body += self.rfile.read(size)
            self.rfile.readline()
            if limit is not None and len(body) >= limit:
                return body[:limit]
        self.rfile.readline()
        return body

    def _respond(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        with contextlib.suppress(ConnectionError):  # the client may have hung up
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _error(code: str, message: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()
