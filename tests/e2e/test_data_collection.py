"""Data collection of one Service in a real store, with kills of the collector and of the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import httpx
import pytest
from tests.support.cluster import Json, Kubectl, eventually, port_forward
from tests.support.object_store import SECRET_KEY, StoreInCluster
from tests.support.objects import service
from tests.support.status import wait_for_status

NAME: Final = "collected"
STATE_PORT: Final = 5002
SELECTOR: Final = f"modelyard.dev/service={NAME}"


class Collected:
    """A Service that collects records, and the ids of the requests that it answered."""

    def __init__(self, kubectl: Kubectl, store: StoreInCluster):
        self.kubectl = kubectl
        self.store = store
        self.sent: set[str] = set()

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """Yield a client of the Service."""
        headers = {"Authorization": f"Bearer {self.kubectl.secret(f'{NAME}-keys')['primaryKey']}"}
        with (
            port_forward(self.kubectl.namespace, f"service/{NAME}", 80) as url,
            httpx.Client(base_url=url, headers=headers, timeout=30) as client,
        ):
            yield client

    def score(self, number: int) -> None:
        """Send requests, each of which must be answered."""
        with self.client() as client:
            for index in range(number):
                response = client.post("/score", json={"index": index, "ages": [index, 40]})
                assert response.status_code == 200, response.text
                self.sent.add(response.headers["x-ms-request-id"])

    def pod(self) -> Json:
        """Return the one pod."""
        (pod,) = self.kubectl.ready_pods(SELECTOR)
        return pod

    def counters(self) -> Json:
        """Return the counters of the collector for the store."""
        pod = f"pod/{self.pod()['metadata']['name']}"
        with port_forward(self.kubectl.namespace, pod, STATE_PORT) as url:
            counters: Json = httpx.get(f"{url}/state", timeout=10).json()["sinks"]["storage"]
            return counters

    def ids(self) -> list[str]:
        """Return the request ids of all rows."""
        return [str(row[0]) for row in self.store.query("SELECT requestId FROM records")]

    def expect_all_rows(self) -> None:
        """Wait until each answered request has exactly one row."""
        eventually(lambda: len(self.ids()) >= len(self.sent), 40, "rows of all requests")
        found = self.ids()
        assert (len(found), set(found)) == (len(self.sent), self.sent)

    def expect_condition(self, status: str, *reasons: str) -> None:
        """Wait for a status of the condition, with one of the reasons."""

        def condition() -> bool:
            found = self.kubectl.get("msvc", NAME)["status"]["conditions"]
            one: Json = next((item for item in found if item["type"] == "DataCollection"), {})
            return one.get("status") == status and one["reason"] in reasons

        eventually(condition, 40, f"DataCollection {status} {reasons}")


@pytest.fixture(scope="module")
def collected(shared: Kubectl, namespace: Callable[[], Kubectl]) -> Iterator[Collected]:
    """A Service with one replica and a store."""
    store = StoreInCluster(namespace())
    collection = {"storageEnabled": True}
    shared.apply(store.secret(), service(NAME, "typed", numReplicas=1, dataCollection=collection))
    wait_for_status(shared, "msvc", NAME, 120, state="Succeeded")
    yield Collected(shared, store)
    shared("delete", "msvc", NAME, "--wait=false")
    shared("delete", "secret", "modelyard-data-collection")


def test_each_request_has_a_row_in_the_store(collected: Collected) -> None:
    collected.score(200)
    collected.expect_all_rows()
    columns = "service, version, status, inputs, prediction, len(modelIds)"
    rows = collected.store.query(f"SELECT {columns} FROM records")
    assert ("collected", "1", 200, '{"index":7,"ages":[7,40]}', "[7.5, 40.5]", 0) in rows
    collected.expect_condition("True", "Working")


def test_declared_columns_are_typed(collected: Collected) -> None:
    rows = collected.store.query(
        'SELECT "inputs.index", unnest("inputs.ages"), unnest("prediction.value") FROM records'
    )
    assert {(7, 7, 7.5), (7, 40, 40.5)} <= set(rows)


def test_driver_can_read_no_credentials(collected: Collected) -> None:
    # Records that wait are no text: `cat -v` shows their other bytes by ^ and M-.
    script = "env; cat -v /var/run/modelyard/*/* 2>/dev/null; cat /var/run/modelyard/collection-destination/*"
    exec_in = ["exec", collected.pod()["metadata"]["name"], "--container", "scoring", "--"]
    found = collected.kubectl(*exec_in, "sh", "-c", f"({script}) 2>&1; true")
    assert SECRET_KEY not in found
    assert "collection-destination" in found  # there is no such folder
    source = {"secretRef": {"name": "modelyard-data-collection"}}
    collected.kubectl.apply(service("thief", "one", pod={"envFrom": [source]}))
    wait_for_status(collected.kubectl, "msvc", "thief", 30, state="Failed")
    message = collected.kubectl.get("msvc", "thief")["status"]["error"]["message"]
    assert "must not read the Secret modelyard-data-collection" in message
    collected.kubectl("delete", "msvc", "thief", "--wait=false")


def test_killed_collector_loses_no_row_and_leaves_the_pod_ready(collected: Collected) -> None:
    before = collected.pod()
    collected.score(10)
    exec_in = ["exec", before["metadata"]["name"], "--container", "collector", "--"]
    collected.kubectl(*exec_in, "sh", "-c", "kill -9 $(cat /proc/1/task/1/children)")
    collected.score(10)
    collected.expect_all_rows()
    after = collected.pod()
    ready = [{c["type"]: c for c in pod["status"]["conditions"]}["Ready"] for pod in (before, after)]
    assert ready[0] == ready[1]
    assert after["status"]["initContainerStatuses"][0]["restartCount"] == 0


def test_store_that_is_away_stops_no_request_and_loses_no_row(collected: Collected) -> None:
    collected.store.stop()
    collected.score(20)
    collected.expect_condition("False", "StorageUnavailable")
    collected.score(20)
    collected.store.start()
    collected.expect_all_rows()
    collected.expect_condition("True", "Working")
    counters, sent = collected.counters(), len(collected.sent)
    assert (counters["answered"], counters["rows"], sum(counters["dropped"].values())) == (sent, sent, 0)


def test_service_without_the_feature_has_its_earlier_pod_and_its_last_rows(collected: Collected) -> None:
    collected.score(5)
    collected.kubectl.patch("msvc", NAME, {"spec": {"dataCollection": None}})
    wait_for_status(collected.kubectl, "msvc", NAME, 120, state="Succeeded", version=2)
    collected.expect_all_rows()
    plain = collected.kubectl.get("deployment", NAME)["spec"]["template"]
    assert "initContainers" not in plain["spec"]
    assert "modelyard.dev/model-ids" not in plain["metadata"]["annotations"]
    assert {volume["name"] for volume in plain["spec"]["volumes"]} == {"keys", "tmp"}
