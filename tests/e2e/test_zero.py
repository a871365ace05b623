"""A Service goes to 0 replicas without requests, and the first request starts a replica and is answered.

One Service lives through all of it, in the order of the tests: each wake takes seconds.
"""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
from tests.support.cluster import Kubectl, eventually
from tests.support.node_requests import NODE, ask_from_node, is_open_from_node
from tests.support.objects import service
from tests.support.planes import present_plane
from tests.support.status import condition, wait_for_status

SLEEPING: Final = {"minReplicas": 0, "maxReplicas": 2, "cooldownPeriodInSeconds": 2}
RESERVED: Final = {"cpu": "50m", "memory": "64Mi"}
RELEASE: Final = "modelyard-system"
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


def ask_publicly(kubectl: Kubectl, name: str) -> tuple[int, str]:
    """Send a request to the public URL; return status and body."""
    url = kubectl.get("msvc", name)["status"]["url"]
    key = kubectl.secret(f"{name}-keys")["primaryKey"]
    with present_plane().client(headers={"Authorization": f"Bearer {key}"}) as client:
        response = client.post(f"{url}/score", content="{}")
    return response.status_code, response.text


def test_service_without_replicas_is_ready(shared: Kubectl, asleep: str) -> None:
    status = shared.get("msvc", asleep)["status"]
    assert condition(status, "Ready")["status"] == "True"
    assert condition(status, "Available")["reason"] == "ScaledToZero"
    assert (status["state"], status["replicas"]) == ("Succeeded", 0)


def test_num_replicas_zero_is_refused_with_the_reason(shared: Kubectl, asleep: str) -> None:
    shared.patch("msvc", asleep, {"spec": {"numReplicas": 0}})
    eventually(lambda: ask_from_node(shared, asleep)[0] == 503, SECONDS, "a refusal by the activator")
    assert "numReplicas of the Service is 0" in json.loads(ask_from_node(shared, asleep)[1])["message"]
    shared.patch("msvc", asleep, {"spec": {"numReplicas": None}})
    wait_until_asleep(shared)


def test_first_requests_are_held_and_answered_once_their_key_is_checked(shared: Kubectl, asleep: str) -> None:
    with ThreadPoolExecutor(9) as threads:
        refused = threads.submit(ask_from_node, shared, asleep, "wrong")
        answers = list(threads.map(lambda _: ask_from_node(shared, asleep), range(8)))
    assert [status for status, _ in answers] == [200] * 8
    assert refused.result()[0] == 401


def test_budget_of_a_second_replica_stays_during_the_sleep(shared: Kubectl, asleep: str) -> None:
    shared("scale", "deployment", asleep, "--replicas=2")
    eventually(lambda: shared.get_or_none("poddisruptionbudget", asleep), SECONDS, "the budget")
    wait_until_asleep(shared)
    assert shared.get("poddisruptionbudget", asleep)


def test_version_and_key_that_change_during_the_sleep_count_at_the_next_start(
    shared: Kubectl, asleep: str
) -> None:
    secret = f"{asleep}-keys"
    old = shared.secret(secret)["primaryKey"]
    shared.patch("secret", secret, {"data": {"primaryKey": None}})
    version = shared.get("msvc", asleep)["status"]["version"]
    shared.patch("msvc", asleep, {"spec": {"imageId": "two"}})
    wait_for_status(shared, "msvc", asleep, SECONDS, state="Succeeded", version=version + 1)
    eventually(lambda: shared.secret(secret).get("primaryKey", old) != old, SECONDS, "a new key")
    assert pods(shared) == 0
    with ThreadPoolExecutor(2) as threads:
        refused = threads.submit(ask_from_node, shared, asleep, old)
        assert ask_from_node(shared, asleep) == (200, '"two"')
    assert refused.result()[0] == 401


def test_budget_does_not_block_a_drain_of_the_only_replica(shared: Kubectl, asleep: str) -> None:
    assert ask_from_node(shared, asleep)[0] == 200
    assert pods(shared) == 1
    drain = ["--pod-selector", f"modelyard.dev/service={asleep}", "--delete-emptydir-data", "--timeout=20s"]
    evicted = f"evicting pod {shared.namespace}/zero-"
    assert evicted in shared("drain", NODE, *drain, "--ignore-daemonsets", "--dry-run=server")


def test_held_requests_survive_the_end_of_the_scaler_and_of_an_activator(
    shared: Kubectl, asleep: str
) -> None:
    wait_until_asleep(shared)
    release = Kubectl(RELEASE)
    selector = "app.kubernetes.io/name=modelyard-activator"
    with ThreadPoolExecutor(5) as threads:
        held = [threads.submit(ask_from_node, shared, asleep) for _ in range(4)]
        if "HTTPS_GATEWAY" in os.environ:
            held.append(threads.submit(ask_publicly, shared, asleep))
        time.sleep(0.2)
        release("delete", "pods", "--selector", "app.kubernetes.io/name=modelyard-scaler", "--wait=false")
        first = release("get", "pods", "--selector", selector, "--output", "name").split()[0]
        release("delete", first, "--wait=false")
        assert [one.result()[0] for one in held] == [200] * len(held)


def test_deleted_service_leaves_no_slice_and_no_open_port(shared: Kubectl, asleep: str) -> None:
    shared(
        "wait",
        f"msvc/{asleep}",
        "--for=condition=ScaledToZero",
        f"--timeout={SECONDS}s",
        timeout=SECONDS + 10,
    )
    found = shared.get("endpointslice", f"{asleep}-activator")
    port = found["ports"][0]["port"]
    hosts = [endpoint["addresses"][0] for endpoint in found["endpoints"]]
    assert all(is_open_from_node(host, port) for host in hosts)
    shared("delete", "msvc", asleep)
    selector = f"kubernetes.io/service-name={asleep}"
    eventually(lambda: not shared.list("endpointslices", selector), SECONDS, "no EndpointSlice")
    eventually(lambda: not any(is_open_from_node(host, port) for host in hosts), SECONDS, "no open port")
