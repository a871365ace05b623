"""fake-gcs-server with writes of the XML API, which it lacks and the library for object stores uses.

fake-gcs-server 1.56 reads, lists and deletes by the XML API. A write, PUT /bucket/object, fails with 400
"invalid uploadType" unless the URL is signed. https://github.com/fsouza/fake-gcs-server/issues/331 is open.
gcp-storage-emulator 2026.7 lacks more: its writes have no ETag and no condition, and it has no lists and no
deletions. So a server before fake-gcs-server makes each write an upload of the JSON API with its condition.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import httpx
from tests.support.programs import program
from tests.support.servers import Server, free_port
from tests.support.web_server import Request, Response, WebServer

_CODES: Final = {404: "NoSuchBucket", 412: "PreconditionFailed"}
_FORWARDED: Final = ("range", "if-match", "if-none-match")
_RETURNED: Final = (
    "Content-Length", "Content-Range", "Content-Type", "ETag", "Last-Modified", "X-Goog-Generation",
)  # fmt: skip


@contextmanager
def google_storage(folder: Path) -> Iterator[tuple[str, Server]]:
    """Yield the URL of the XML API and fake-gcs-server, with the bucket `bucket`.

    Its objects outlive a kill. It accepts all credentials.
    """
    port = free_port()
    listen = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-public-host", "127.0.0.1"]
    storage = ["-backend", "filesystem", "-filesystem-root", folder / "files"]
    front = WebServer()
    try:
        with (
            Server([program("fake-gcs-server"), *listen, *storage], port, folder) as server,
            httpx.Client(base_url=f"http://{server.address}", timeout=30) as client,
        ):
            client.post("/storage/v1/b", json={"name": "bucket"}).raise_for_status()
            front.respond = lambda request: _respond(client, request)
            yield front.url, server
    finally:
        front.stop()


def _respond(client: httpx.Client, request: Request) -> Response:
    try:
        return _write(client, request) if request.method == "PUT" else _forward(client, request)
    except httpx.TransportError:
        return Response(503)


def _write(client: httpx.Client, request: Request) -> Response:
    """Return the response of the XML API to a write, with the object of the JSON API."""
    bucket, _, name = request.path.removeprefix("/").partition("/")
    query = {"uploadType": "media", "name": unquote(name)}
    if generation := request.headers.get("x-goog-if-generation-match"):
        query["ifGenerationMatch"] = generation
    written = client.post(f"/upload/storage/v1/b/{bucket}/o", params=query, content=request.body)
    if written.is_error:
        code = _CODES.get(written.status_code, "InternalError")
        return Response(written.status_code, f"<Error><Code>{code}</Code></Error>".encode())
    found = written.json()
    return Response(headers={"ETag": f'"{found["etag"]}"', "x-goog-generation": found["generation"]})


def _forward(client: httpx.Client, request: Request) -> Response:
    headers = {name: request.headers[name] for name in _FORWARDED if name in request.headers}
    answer = client.request(request.method, request.path, headers=headers)
    returned = {name: answer.headers[name] for name in _RETURNED if name in answer.headers}
    return Response(answer.status_code, answer.content, returned)
