"""A Service goes to 0 replicas without requests, and the first request starts a replica and is answered.

One Service lives through all of it, in the order of the tests: each wake takes seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
from tests.support.cluster import Kubectl, eventually
from tests.support.objects import service
from tests.support.planes import present_plane
from tests.support.status import condition, wait_for_status

SLEEPING: Final = {"minReplicas": 0, "maxReplicas": 2, "cooldownPeriodInSeconds": 2}
RESERVED: Final = {"cpu": "50m", "memory": "64Mi"}
RELEASE: Final = "modelyard-system"
NODE: Final = "modelyard-control-plane"
SECONDS: Final = 90


@pytest.fixture(scope="module")
def asleep(shared: Kubectl) -> str:
    """A published Service that had no request for its cooldown."""
    if Kubectl(RELEASE).get_or_none("deployment", "modelyard-activator") is None:
        pytest.skip("the release has no activator: set scaling.zero.enabled to true")
    route = {"enabled": "HTTPS_GATEWAY" in os.environ}
    shared.apply(
        service("zero", "one", autoScaler=SLEEPING, containerResourceReservation=RESERVED, route=route)
    )
    wait_for_status(shared, "msvc", "zero", SECONDS, state="Succeeded")
    wait_until_asleep(shared)
    return "zero"


def wait_until_asleep(kubectl: Kubectl) -> None:
    kubectl("wait", "msvc/zero", "--for=condition=ScaledToZero", f"--timeout={SECONDS}s")
    eventually(lambda: pods(kubectl) == 0, SECONDS, "no pod of the Service")


def pods(kubectl: Kubectl) -> int:
    selector = "modelyard.dev/service=zero"
    found = kubectl("get", "pods", "--selector", selector, "--output", "name")
    return len(found.split())


def ask(kubectl: Kubectl, key: str | None = None) -> tuple[int, str]:
    """Send a request from the node to the core Service; return status and body."""
    address = kubectl.get("service", "zero")["spec"]["clusterIP"]
    key = kubectl.secret("zero-keys")["primaryKey"] if key is None else key
    command = ["curl", "--silent", "--max-time", "80", "--data", "{}", "--write-out", r"\n%{http_code}"]
    command += ["--header", f"Authorization: Bearer {key}", f"http://{address}/score"]
    done = subprocess.run(["docker", "exec", NODE, *command], capture_output=True, text=True, check=False)
    body, _, status = done.stdout.rpartition("\n")
    return int(status or 0), body


def test_service_without_replicas_is_ready(shared: Kubectl, asleep: str) -> None:
    status = shared.get("msvc", asleep)["status"]
    assert condition(status, "Ready")["status"] == "True"
    assert condition(status, "Available")["reason"] == "ScaledToZero"
    assert (status["state"], status["replicas"]) == ("Succeeded", 0)


def test_first_requests_are_held_and_answered(shared: Kubectl, asleep: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: ask(shared), range(8)))
    assert [status for status, _ in answers] == [200] * 8


def test_replica_checks_the_key_of_a_held_request(shared: Kubectl, asleep: str) -> None:
    wait_until_asleep(shared)
    assert ask(shared, "wrong")[0] == 401


def test_held_request_survives_the_end_of_the_scaler_and_of_an_activator(
    shared: Kubectl, asleep: str
) -> None:
    wait_until_asleep(shared)
    selector = "app.kubernetes.io/name=modelyard-activator"
    release = Kubectl(RELEASE)
    with ThreadPoolExecutor(4) as threads:
        held = [threads.submit(ask, shared) for _ in range(4)]
        time.sleep(0.2)
        release("delete", "pods", "--selector", "app.kubernetes.io/name=modelyard-scaler", "--wait=false")
        first = release("get", "pods", "--selector", selector, "--output", "name").split()[0]
        release("delete", first, "--wait=false")
        assert [one.result()[0] for one in held] == [200] * 4


def test_public_url_wakes_the_service(shared: Kubectl, asleep: str) -> None:
    if "HTTPS_GATEWAY" not in os.environ:
        pytest.skip("the cluster has no data plane: see HTTPS_GATEWAY in tests/cluster/README.md")
    wait_until_asleep(shared)
    url = shared.get("msvc", asleep)["status"]["url"]
    key = shared.secret(f"{asleep}-keys")["primaryKey"]
    with present_plane().client(headers={"Authorization": f"Bearer {key}"}) as client:
        assert client.post(f"{url}/score", content="{}").status_code == 200


def test_num_replicas_zero_is_refused_with_the_reason(shared: Kubectl, asleep: str) -> None:
    shared.patch("msvc", asleep, {"spec": {"numReplicas": 0}})
    eventually(lambda: pods(shared) == 0, SECONDS, "no pod of the Service")
    eventually(lambda: ask(shared)[0] == 503, SECONDS, "a refusal by the activator")
    assert "numReplicas of the Service is 0" in json.loads(ask(shared)[1])["message"]
    shared("delete", "msvc", asleep, "--wait=false")
