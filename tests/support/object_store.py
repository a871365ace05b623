"""An S3 server in the cluster, which pods reach: versitygw, with the folder of its files."""

from __future__ import annotations

import base64
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import duckdb
from tests.support.cluster import Json, Kubectl, operator_image
from tests.support.programs import build

BUCKET: Final = "records"
_ACCESS_KEY: Final = "collector"
SECRET_KEY: Final = "s3cret" * 6
_PORT: Final = 7070
_LABELS: Final = {"app": "store"}
_START: Final = f"""\
mkdir -p /tmp/files/{BUCKET} /tmp/about
until [ -e /tmp/ready ]; do sleep 0.1; done
exec /tmp/versitygw --port :{_PORT} posix --sidecar /tmp/about /tmp/files
"""


class StoreInCluster:
    """A pod and a core Service `store` in a namespace. Raises RuntimeError if the server cannot be built."""

    def __init__(self, kubectl: Kubectl):
        self._kubectl = kubectl
        env = [
            {"name": "ROOT_ACCESS_KEY", "value": _ACCESS_KEY},
            {"name": "ROOT_SECRET_KEY", "value": SECRET_KEY},
        ]
        container = {
            "name": "store",
            "image": operator_image(),
            "command": ["sh", "-c", _START],
            "env": env,
            "readinessProbe": {"tcpSocket": {"port": _PORT}, "periodSeconds": 1},
        }
        spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
        metadata = {"name": "store", "labels": _LABELS}
        ports = [{"port": 80, "targetPort": _PORT}]
        kubectl.apply(
            {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "store"},
                "spec": {"selector": _LABELS, "ports": ports},
            },
        )
        kubectl("wait", "pod/store", "--for=jsonpath={.status.phase}=Running", "--timeout=60s", timeout=70)
        with build("versitygw").open("rb") as binary:
            script = "cat > /tmp/versitygw && chmod +x /tmp/versitygw && touch /tmp/ready"
            command = ["kubectl", "--namespace", kubectl.namespace, "exec", "--stdin", "store", "--"]
            subprocess.run([*command, "sh", "-c", script], stdin=binary, check=True, timeout=60)
        kubectl("wait", "pod/store", "--for=condition=Ready", "--timeout=60s", timeout=70)

    def secret(self, name: str = "modelyard-data-collection") -> Json:
        """Return the Secret with the destination of data collection."""
        values = {
            "storageUrl": f"s3://{BUCKET}/models",
            "AWS_ENDPOINT_URL": f"http://store.{self._kubectl.namespace}.svc.cluster.local",
            "AWS_ACCESS_KEY_ID": _ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
        }
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}

    def stop(self) -> None:
        """Refuse connections: the core Service has no pod."""
        self._kubectl("label", "pod", "store", "--overwrite", "app=stopped")

    def start(self) -> None:
        """Accept connections again."""
        self._kubectl("label", "pod", "store", "--overwrite", "app=store")

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Return the result of a query on the table `records`: all rows of the store, none without a file."""
        packed = self._kubectl("exec", "store", "--", "sh", "-c", f"tar c -C /tmp/files {BUCKET} | base64")
        with tempfile.TemporaryDirectory() as folder:
            # Python 3.11.2, that of Debian 12, has no filter for tarfile, and newer ones demand it.
            unpack = ["tar", "x", "-C", folder]
            subprocess.run(unpack, input=base64.b64decode(packed), check=True, timeout=60)
            paths = [str(path) for path in Path(folder).rglob("*.parquet")]
            if not paths:
                return []
            with duckdb.connect() as database:
                database.read_parquet(paths, union_by_name=True).create_view("records")
                return database.sql(sql).fetchall()
