"""Requests from the node of the cluster to core Services, for which its kube-proxy chooses the endpoint."""

from __future__ import annotations

import os
import subprocess
from typing import Final

from tests.support.cluster import Kubectl

NODE: Final = os.environ.get("CONTROL_PLANE_CONTAINER", "modelyard-control-plane")


def is_open_from_node(address: str, port: int) -> bool:
    """Return whether a TCP port accepts a connection. Nothing is sent."""
    command = ["timeout", "3", "bash", "-c", f": < /dev/tcp/{address}/{port}"]
    return (
        subprocess.run(["docker", "exec", NODE, *command], capture_output=True, check=False).returncode == 0
    )


def ask_from_node(kubectl: Kubectl, name: str, key: str | None = None) -> tuple[int, str]:
    """Send a scoring request, by default with the primary key; return status and body, or (0, "")."""
    address = kubectl.get("service", name)["spec"]["clusterIP"]
    key = kubectl.secret(f"{name}-keys")["primaryKey"] if key is None else key
    command = ["curl", "--silent", "--max-time", "80", "--data", "{}", "--write-out", r"\n%{http_code}"]
    command += ["--header", f"Authorization: Bearer {key}", f"http://{address}/score"]
    done = subprocess.run(["docker", "exec", NODE, *command], capture_output=True, text=True, check=False)
    body, _, status = done.stdout.rpartition("\n")
    return int(status or 0), body
