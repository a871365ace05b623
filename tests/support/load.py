"""Load generators that send scoring requests at a fixed rate: a pod in the cluster, and a process outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any, Final

from tests.support.cluster import Kubectl, eventually, operator_image
from tests.support.planes import Plane

_SCRIPT: Final = Path(__file__).with_name("load_script.py")


class _Counts:
    """The figures that the program of a load generator prints."""

    def _output(self) -> str:
        """Return the output of the program so far."""
        raise NotImplementedError

    def seconds(self) -> list[dict[str, Any]]:
        """Return one entry for each second so far.

        Its fields: ok, failed, errors by kind, p50_ms and p99_ms, answers, and first_at, the Unix time of the
        first response with each text.
        """
        return [json.loads(line) for line in self._output().splitlines() if line.startswith("{")]

    def wait(self, seconds: int) -> None:
        """Wait for a number of further seconds of load."""
        end = len(self.seconds()) + seconds
        eventually(lambda: len(self.seconds()) >= end, seconds + 30, f"{seconds} more seconds of load")

    def total(self) -> tuple[int, int, dict[str, int]]:
        """Return the number of responses with 200, of failures, and of failures by kind, so far."""
        ok = failed = 0
        errors: dict[str, int] = {}
        for second in self.seconds():
            ok += second["ok"]
            failed += second["failed"]
            for kind, count in second["errors"].items():
                errors[kind] = errors.get(kind, 0) + count
        return ok, failed, errors


class Load(_Counts):
    """Sends requests to a core Service from a pod during the context, and counts them each second.

    `connections` keep-alive connections send one request at a time, for at most `seconds`. `per_second` is
    the rate of all connections together; 0 means without a limit. With `new_connections`, each request has
    its own connection.
    """

    def __init__(
        self,
        kubectl: Kubectl,
        service: str,
        body: str,
        *,
        connections: int = 4,
        per_second: float = 0,
        seconds: int = 300,
        new_connections: bool = False,
    ):
        self._kubectl = kubectl
        self._name = f"load-{uuid.uuid4().hex[:6]}"
        self._service = service
        self._settings = {
            "CONNECTIONS": str(connections),
            "PER_SECOND": str(per_second),
            "SECONDS": str(seconds),
            "BODY": body,
        } | ({"NEW_CONNECTIONS": "1"} if new_connections else {})

    def __enter__(self) -> Load:
        # Not the scoring URI of the status, which a pod may not resolve if it is public.
        uri = f"http://{self._service}.{self._kubectl.namespace}.svc/score"
        key = {"secretKeyRef": {"name": f"{self._service}-keys", "key": "primaryKey"}}
        settings = self._settings | {"URL": uri}
        self._kubectl.apply(
            {
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": self._name},
                "data": {"load.py": _SCRIPT.read_text(encoding="utf-8")},
            },
            {
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": self._name},
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 5,
                    "containers": [{
                        "name": "load", "image": operator_image(), "command": ["python3", "/load/load.py"],
                        "env": [{"name": "KEY", "valueFrom": key}]
                        + [{"name": name, "value": value} for name, value in settings.items()],
                        "volumeMounts": [{"name": "script", "mountPath": "/load"}],
                    }],
                    "volumes": [{"name": "script", "configMap": {"name": self._name}}],
                },
            },
        )  # fmt: skip
        eventually(self.seconds, 60, "the first second of load")
        return self

    def __exit__(self, *_: object) -> None:
        self._kubectl("delete", "pod,configmap", self._name, "--wait=false")

    def _output(self) -> str:
        if self._kubectl.get("pod", self._name)["status"]["phase"] == "Pending":
            return ""
        return self._kubectl("logs", self._name)


class OutsideLoad(_Counts):
    """Sends requests to a public URL from a process of this machine during the context.

    The parameters are those of Load.
    """

    def __init__(
        self, url: str, key: str, body: str, plane: Plane, *, connections: int = 4, per_second: float = 0
    ):
        self._settings = {
            "URL": url,
            "KEY": key,
            "BODY": body,
            "CA": str(plane.ca),
            "ADDRESS": plane.address,
            "CONNECTIONS": str(connections),
            "PER_SECOND": str(per_second),
            "SECONDS": "300",
        }

    def __enter__(self) -> OutsideLoad:
        self._folder = tempfile.TemporaryDirectory()
        self._file = Path(self._folder.name) / "seconds"
        with self._file.open("w") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", _SCRIPT], env={**os.environ, **self._settings}, stdout=output
            )
        eventually(self.seconds, 60, "the first second of load")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def _output(self) -> str:
        return self._file.read_text(encoding="utf-8")
