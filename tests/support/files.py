"""A web server in the cluster with files for builds; some of its paths refuse or delay the response."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.support.cluster import Kubectl, operator_image

_FOLDER: Final = "/tmp/files"
_SCRIPT: Final = """\
import functools, http.server, pathlib, time

class Files(http.server.SimpleHTTPRequestHandler):
    # The response of /content/<text> is the text, also of /slow/<seconds>/<text>, after a delay. Others: the
    # file of this path, or 404.
    def do_GET(self):
        match self.path.split("/")[1:]:
            case ["content", text]:
                self.respond(text)
            case ["slow", seconds, text]:
                time.sleep(float(seconds))
                self.respond(text)
            case _:
                super().do_GET()

    def respond(self, text):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

pathlib.Path("FOLDER").mkdir()
files = functools.partial(Files, directory="FOLDER")
http.server.ThreadingHTTPServer(("", 8000), files).serve_forever()
""".replace("FOLDER", _FOLDER)
_LABELS: Final = {"app": "files"}


class Files:
    """A pod and a Service `files` in a namespace."""

    def __init__(self, kubectl: Kubectl):
        image = operator_image()
        self._kubectl = kubectl
        self._host = f"files.{kubectl.namespace}.svc.cluster.local"
        kubectl.apply(
            {
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "files", "labels": _LABELS},
                "spec": {
                    "terminationGracePeriodSeconds": 0,
                    "containers": [{
                        "name": "files", "image": image, "command": ["python3", "-c", _SCRIPT],
                        "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
                    }],
                },
            },
            {
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "files"},
                "spec": {"selector": _LABELS, "ports": [{"port": 80, "targetPort": 8000}]},
            },
        )  # fmt: skip
        kubectl("wait", "pod/files", "--for=condition=Ready", "--timeout=180s", timeout=190)

    def add(self, folder: Path, name: str) -> None:
        """Copy a folder of this machine, whose files are below `/<name>/` afterwards."""
        self._kubectl("cp", str(folder), f"files:{_FOLDER}/{name}")

    def url(self, path: str) -> str:
        """Return the URL of a path for programs in the cluster."""
        return f"http://{self._host}/{path}"
