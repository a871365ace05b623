"""The memory of a gateway process while several viewers list large manifests; needs no cluster."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from tests.support.processes import memory_kib

MiB = 2**20
VALUES: Final = yaml.safe_load(Path("charts/modelyard/values.yaml").read_text())
POD_LIMIT: Final = int(VALUES["gateway"]["resources"]["limits"]["memory"].removesuffix("Mi")) * MiB
MANIFESTS: Final = 300
VIEWERS: Final = 8
CONTENT: Final = "x" * 500_000


def _revision(number: int) -> bytes:
    owner = {"apiVersion": "modelyard.dev/v1alpha1", "kind": "Manifest", "name": f"m{number:03}", "uid": "u"}
    revision = {
        "metadata": {
            "name": f"manifest-m{number:03}-1",
            "namespace": "team-a",
            "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "ownerReferences": [owner | {"controller": True}],
        },
        "revision": 1,
        "data": {
            "driverProgram": "d",
            "assets": [{"id": "d", "content": CONTENT}],
            "targetRuntime": {"runtimeType": "Python", "properties": {}},
        },
    }
    return json.dumps(revision).encode()


REVISIONS: Final = [_revision(number) for number in range(MANIFESTS)]


class ApiServer(BaseHTTPRequestHandler):
    """The API server's answers for one namespace with 300 manifests of 500 KB."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer reads of the namespace and pages of its ControllerRevisions."""
        url = urlsplit(self.path)
        content = b'{"metadata": {"name": "team-a"}}'
        if url.path.endswith("/controllerrevisions"):
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            first, limit = int(query.get("continue", "0")), int(query["limit"])
            last = min(MANIFESTS, first + limit)
            metadata = {"continue": str(last)} if last < MANIFESTS else {}
            items = b",".join(REVISIONS[first:last])
            content = b'{"metadata": %b, "items": [%b]}' % (json.dumps(metadata).encode(), items)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        try:
            self.wfile.write(content)
        except OSError:  # the gateway has read enough
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Write no access log."""


@pytest.fixture
def api_server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), ApiServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def gateway(api_server: str, tmp_path: Path) -> Iterator[tuple[str, int]]:
    """Run a gateway; return the URL of its account, and its process id."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = tmp_path / "gateway.yaml"
    config.write_text(yaml.safe_dump({"apiServer": api_server, "host": "127.0.0.1", "port": port}))
    environment = {**os.environ, "MODELYARD_GATEWAY_CONFIG": str(config)}
    with subprocess.Popen([sys.executable, "-m", "modelyard", "gateway"], env=environment) as process:
        try:
            _wait(port)
            yield f"http://127.0.0.1:{port}/api/subscriptions/s/resourceGroups/g/accounts/team-a", process.pid
        finally:
            process.terminate()


def _wait(port: int) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the gateway does not listen")


def test_lists_of_large_manifests_stay_below_the_pods_limit(gateway: tuple[str, int]) -> None:
    account, pid = gateway

    def view(_: int) -> set[str]:
        ids: set[str] = set()
        link: str | None = f"{account}/manifests?api-version=2017-09-01-preview&count={MANIFESTS}"
        while link and len(ids) < 10:
            request = urllib.request.Request(link, headers={"Authorization": "Bearer t"})
            with urllib.request.urlopen(request, timeout=60) as response:
                page = json.load(response)
            ids |= {item["id"] for item in page["value"]}
            link = page.get("nextLink")
        return ids

    with ThreadPoolExecutor(VIEWERS) as viewers:
        found = list(viewers.map(view, range(VIEWERS)))
    assert all(ids >= {"m000:1", "m009:1"} for ids in found)
    assert memory_kib(pid, "VmHWM") * 1024 < POD_LIMIT * 0.8  # the rest is for connections and bodies
