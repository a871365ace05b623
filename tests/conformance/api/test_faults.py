"""Crashes of gateways, operator and API server at random points of creates lose and duplicate nothing."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from tests.conformance.api.conftest import (
    GATEWAY_PODS,
    Api,
    forwarded,
    trusted,
)
from tests.support.cluster import OPERATOR_NAMESPACE, Json, Kubectl, eventually
from tests.support.faults import crash, crash_api_server, needs_own_cluster
from tests.support.operator import SYSTEM

pytestmark = needs_own_cluster
_SCRIPT: Final = Path(__file__).with_name("fault_client.py")
_SECONDS: Final = 40.0  # of crashes before the crash of the API server; a quarter of them after it
_API_SERVER_SECONDS: Final = 180.0  # the kubelet waits longer before each restart
_GATEWAY_SECONDS: Final = (
    120.0  # scheduler and controllers crash with the API server, and are restarted as late
)
_OPERATOR: Final = "app.kubernetes.io/name=modelyard"
_POD: Final = "fault-client"


class Clients:
    """The pod of the clients, and their output."""

    def __init__(self, account: Kubectl):
        self._account = account

    def start(self, root: str, image_id: str, authority: str) -> None:
        """Start clients that call the gateway's Service with the token of `editor`."""
        operator = SYSTEM.get("deployment", "modelyard")
        image = operator["spec"]["template"]["spec"]["containers"][0]["image"]
        files = {"client.py": _SCRIPT.read_text(encoding="utf-8"), "ca.crt": authority}
        variables = {"ROOT": root, "IMAGE": image_id}
        self._account.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": _POD}, "data": files},
            {
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": _POD},
                "spec": {
                    "restartPolicy": "Never",
                    "serviceAccountName": "editor",
                    "terminationGracePeriodSeconds": 0,
                    "containers": [{
                        "name": "client", "image": image, "command": ["python3", "/client/client.py"],
                        "env": [{"name": name, "value": value} for name, value in variables.items()],
                        "volumeMounts": [{"name": "client", "mountPath": "/client"}],
                    }],
                    "volumes": [{"name": "client", "configMap": {"name": _POD}}],
                },
            },
        )  # fmt: skip
        eventually(self.lines, 60, "the clients' first line")

    def stop(self) -> list[Json]:
        """Stop the clients, and return all lines of their output."""
        self._account("exec", _POD, "--", "touch", "/tmp/stop")
        ended = "--for=jsonpath={.status.phase}=Succeeded"
        self._account("wait", f"pod/{_POD}", ended, "--timeout=180s", timeout=190)
        return self.lines()

    def lines(self) -> list[Json]:
        """Return the lines of the output so far."""
        with contextlib.suppress(RuntimeError):  # the container has not started yet
            return [json.loads(line) for line in self._account("logs", _POD).splitlines()]
        return []

    def remove(self) -> None:
        """Delete the pod and its script."""
        self._account("delete", "pod,configmap", _POD, "--ignore-not-found", "--wait=false")


@pytest.fixture
def clients(account: Kubectl) -> Iterator[Clients]:
    """Clients in the cluster, where the gateway's Service distributes requests to its replicas."""
    clients = Clients(account)
    yield clients
    clients.remove()


def _crash_for(seconds: float) -> int:
    """Crash a gateway or the operator every 0.5 to 4 seconds, and return the number of crashes."""
    end, crashes = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        time.sleep(random.uniform(0.5, 4))
        pods = [
            pod
            for pod in SYSTEM.list("pods", random.choice([_OPERATOR, GATEWAY_PODS, GATEWAY_PODS]))
            if pod["status"]["phase"] == "Running"
        ]
        if pods:
            crash(SYSTEM, random.choice(pods))
            crashes += 1
    return crashes


def test_crashes_lose_and_duplicate_no_registration(
    api: Api, account: Kubectl, built: Any, base_url: str, clients: Clients, caller: Callable[..., Api]
) -> None:
    path = api.root.removeprefix(base_url)
    root = f"https://modelyard-gateway.{OPERATOR_NAMESPACE}.svc{path}"
    clients.start(root, built["id"], trusted(base_url) or "")
    crashes = _crash_for(_SECONDS)
    crash_api_server(account)
    eventually(lambda: _is_up(account), _API_SERVER_SECONDS, "the API server is back")
    crashes += _crash_for(_SECONDS / 4)
    lines = clients.stop()

    assert crashes > 5
    responses = [line for line in lines if "response" in line]
    unexpected = [line for line in responses if line["status"] not in {200, 202, 429, 503}]
    assert not unexpected
    ready = eventually(lambda: SYSTEM.ready_pods(GATEWAY_PODS), _GATEWAY_SECONDS, "a gateway is ready")
    with forwarded(f"pod/{ready[0]['metadata']['name']}", 8443) as url:
        later = caller(path=f"{path.removeprefix('/api')}", url=url)
        _check_models(later, lines)
        _check_services(later, lines)


def _is_up(account: Kubectl) -> bool:
    with contextlib.suppress(RuntimeError):
        return bool(account("get", "--raw", "/readyz"))
    return False


def _successes(lines: list[Json], path: str) -> dict[str, Json]:
    """Return the lines of successful responses by key."""
    return {
        line["key"]: line for line in lines if line.get("response") == path and line["status"] in {200, 202}
    }


def _settled(api: Api, path: str) -> list[Any]:
    """Return all items of a list once it has not changed for three seconds."""
    before: list[Any] | None = None
    while before != (now := api.all(path)):
        before = now
        time.sleep(3)
    return now


def _check_models(api: Api, lines: list[Json]) -> None:
    sent = {line["key"] for line in lines if line.get("request") == "models"}
    registered = [json.loads(line["text"]) for line in _successes(lines, "models").values()]
    listed = {item["id"]: item for item in _settled(api, "/models") if item["url"] in sent}
    urls = [item["url"] for item in listed.values()]
    assert len(urls) == len(set(urls)), "a model is registered twice"
    assert all(listed.get(item["id"]) == item for item in registered), "a registered model is lost"
    assert len(registered) > 20


def _check_services(api: Api, lines: list[Json]) -> None:
    created = _successes(lines, "services")
    assert len(created) > 5
    for name, line in created.items():
        ended = api.finished(f"/operations/{line['operation']}", 60)
        assert ended["state"] == "Succeeded", ended
        assert len(api.get("/deployments", serviceId=name)) == 1
