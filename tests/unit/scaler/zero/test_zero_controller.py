"""The way of a Service to 0 replicas and back, with restarts, collisions and dead activators."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest
from tests.unit.clock import Clock

from modelyard.api import labels
from modelyard.api.endpoint_slices import Address, ServiceKey
from modelyard.api.service import ServiceSpec
from modelyard.kube.errors import AlreadyExists, Conflict
from modelyard.kube.types import DEPLOYMENTS, ENDPOINT_SLICES, EVENTS, Key
from modelyard.reconcile.workqueue import WorkQueue
from modelyard.scaler.zero.controller import SETTLE_SECONDS, ZeroController
from modelyard.scaler.zero.ports import Ports
from modelyard.scaler.zero.state import ZeroState

NS = "team"
REPLICA = Address("10.0.0.9", 5001)


class Load(NamedTuple):
    """The counters of the replica."""

    running: int = 0
    waiting: int = 0
    requests: int = 0


class Cluster:
    """EndpointSlices and the number of replicas; each write reaches the watch at once."""

    def __init__(self) -> None:
        self.slices: dict[str, dict[str, Any]] = {}
        self.replicas = 1
        self.load: Load | None = Load()
        self.open: set[str] = {"10.1.0.1", "10.1.0.2"}
        self.clock = Clock()
        self.version = 0
        self.scaled: list[int] = []
        self.events: list[dict[str, Any]] = []
        self.on_scale: Callable[[], Awaitable[None]] | None = None
        self.restart()

    def restart(self) -> None:
        """Start the scaler again: it knows the objects, and has no memory."""
        services = getattr(self, "services", [])
        self.state = ZeroState(Ports(first=0))
        self.queue = WorkQueue(self.clock)
        self.controller = ZeroController(
            self, self.state, self.ask, self.connects, queue=self.queue, monotonic=self.clock.time
        )
        self.controller._is_leading = True
        self.services: list[dict[str, Any]] = []
        for body in services:
            self.service(body["metadata"]["name"], **body["spec"])
        for body in self.slices.values():
            self.see(body)
        self.activators("10.1.0.1", "10.1.0.2")

    def service(self, name: str = "m", **spec: Any) -> None:
        body = {
            "metadata": {"namespace": NS, "name": name, "uid": f"uid-{name}"},
            "spec": {"imageId": "i"} | spec,
        }
        self.services = [one for one in self.services if one["metadata"]["name"] != name] + [body]
        self.controller.changed({self.state.on_service(body, ServiceSpec.model_validate(body["spec"]))})

    def activators(self, *hosts: str) -> None:
        endpoints = [{"addresses": [host], "conditions": {"ready": True}} for host in hosts]
        body = {"metadata": {"name": "activator-x"}, "endpoints": endpoints}
        if self.state.on_activators(body, deleted=False):
            self.controller.changed(set(self.state.keys()))

    def pods(self, *, ready: bool, name: str = "m", terminating: bool = False) -> None:
        """Show one replica in the EndpointSlice of Kubernetes."""
        self.see(
            {
                "metadata": {
                    "namespace": NS,
                    "name": f"{name}-abc",
                    "labels": {
                        labels.SLICE_SERVICE: name,
                        labels.SLICE_MANAGED_BY: labels.KUBERNETES_SLICE_MANAGER,
                    },
                },
                "addressType": "IPv4",
                "endpoints": [
                    {"addresses": [REPLICA.host], "conditions": {"ready": ready, "terminating": terminating}}
                ],
                "ports": [{"name": "http", "port": REPLICA.port}],
            }
        )

    def see(self, body: dict[str, Any], *, deleted: bool = False) -> None:
        self.controller.changed(self.state.on_slice(copy.deepcopy(body), deleted=deleted))

    async def ask(self, address: Address) -> Load | None:
        assert address == REPLICA
        return self.load

    async def connects(self, address: Address) -> bool:
        return address.host in self.open

    def slice(self, name: str = "m") -> dict[str, Any] | None:
        return self.slices.get(labels.activator_slice_name(name))

    def ready_hosts(self, name: str = "m") -> list[str]:
        found = self.slice(name)
        return [
            one["addresses"][0] for one in (found or {}).get("endpoints", ()) if one["conditions"]["ready"]
        ]

    async def run(self, seconds: float = 0.0) -> None:
        """Reconcile each queued key, also after its timers in the next seconds."""
        end = self.clock.time() + seconds
        while True:
            while len(self.queue):
                key = await self.queue.get()
                try:
                    await self.controller.reconcile(ServiceKey(key.namespace, key.name))
                    self.queue.forget(key)
                except Conflict:
                    self.queue.retry(key)
                finally:
                    self.queue.done(key)
            if self.clock.time() >= end - 0.001:
                return
            self.clock.move(min(0.05, end - self.clock.time()))

    # --- the client

    async def create(self, resource, namespace, body):
        if resource is EVENTS:
            self.events.append(body)
            return {}
        assert resource is ENDPOINT_SLICES
        name = body["metadata"]["name"]
        if name in self.slices:
            raise AlreadyExists("yes", status=409)
        self._store(name, body | {"metadata": body["metadata"] | {"namespace": namespace}})
        return {}

    async def patch(self, resource, namespace, name, patch, subresource=None):
        if resource is DEPLOYMENTS:
            assert subresource == "scale"
            if self.on_scale:
                await self.on_scale()
            assert patch["metadata"]["resourceVersion"] == f"r{self.replicas}"
            self.replicas = patch["spec"]["replicas"]
            self.scaled.append(self.replicas)
            return {}
        present = self.slices[name]
        if patch["metadata"]["resourceVersion"] != present["metadata"]["resourceVersion"]:
            raise Conflict("changed", status=409)
        self._store(name, present | patch | {"metadata": present["metadata"] | patch["metadata"]})
        return {}

    async def get(self, resource, namespace, name, subresource=None):
        if resource is ENDPOINT_SLICES:
            return self.slices[name]
        assert (resource, subresource) == (DEPLOYMENTS, "scale")
        spec = {"replicas": self.replicas} if self.replicas else {}
        return {"metadata": {"resourceVersion": f"r{self.replicas}"}, "spec": spec}

    async def delete(self, resource, namespace, name):
        assert resource is ENDPOINT_SLICES
        if body := self.slices.pop(name, None):
            self.see(body, deleted=True)

    def _store(self, name: str, body: dict[str, Any]) -> None:
        self.version += 1
        created = body["metadata"].get("creationTimestamp") or f"2026-01-01T00:00:{self.version:02}Z"
        body["metadata"] |= {"resourceVersion": str(self.version), "creationTimestamp": created}
        self.slices[name] = body
        self.see(body)


def sleeping(**more: Any) -> dict[str, Any]:
    return {"autoScaler": {"minReplicas": 0, "cooldownPeriodInSeconds": 10} | more}


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


async def asleep(cluster: Cluster) -> None:
    """Let a Service go to 0."""
    cluster.service(**sleeping())
    cluster.pods(ready=True)
    await cluster.run(20)
    assert cluster.scaled == [0]
    cluster.pods(ready=False, terminating=True)
    await cluster.run(1)


async def test_idle_service_goes_to_zero_after_the_slice_and_a_pause(cluster: Cluster) -> None:
    cluster.service(**sleeping())
    cluster.pods(ready=True)
    await cluster.run(9)
    assert (cluster.slice(), cluster.scaled) == (None, [])
    await cluster.run(2)
    assert cluster.ready_hosts() == ["10.1.0.1", "10.1.0.2"]
    assert cluster.scaled == []
    await cluster.run(SETTLE_SECONDS + 1)
    assert cluster.scaled == [0]
    cluster.pods(ready=False, terminating=True)
    await cluster.run(120)
    assert cluster.ready_hosts() == ["10.1.0.1", "10.1.0.2"]
    assert cluster.scaled == [0]


@pytest.mark.parametrize("load", [Load(requests=1), Load(running=1), Load(waiting=1), None])
async def test_request_during_the_pause_keeps_the_replicas(cluster: Cluster, load: Load | None) -> None:
    cluster.service(**sleeping())
    cluster.pods(ready=True)
    await cluster.run(11)
    assert cluster.slice()
    cluster.load = load
    await cluster.run(SETTLE_SECONDS + 2)
    assert (cluster.slice(), cluster.scaled) == (None, [])


async def test_requests_begin_the_cooldown_again(cluster: Cluster) -> None:
    cluster.service(**sleeping())
    cluster.pods(ready=True)
    for number in range(10):
        cluster.load = Load(requests=number)
        await cluster.run(8)
    assert (cluster.slice(), cluster.scaled) == (None, [])


async def test_replica_that_does_not_answer_is_not_idle(cluster: Cluster) -> None:
    cluster.load = None
    cluster.service(**sleeping())
    cluster.pods(ready=True)
    await cluster.run(60)
    assert (cluster.slice(), cluster.scaled) == (None, [])


async def test_without_a_living_activator_no_service_goes_to_zero(cluster: Cluster) -> None:
    cluster.open = set()
    cluster.service(**sleeping())
    cluster.pods(ready=True)
    await cluster.run(90)
    assert cluster.scaled == []
    cluster.activators()
    await cluster.run(60)
    assert cluster.scaled == []


async def test_service_with_min_replicas_one_stays(cluster: Cluster) -> None:
    cluster.service(autoScaler={"minReplicas": 1, "cooldownPeriodInSeconds": 1})
    cluster.pods(ready=True)
    await cluster.run(60)
    cluster.pods(ready=False)
    await cluster.run(60)
    assert (cluster.slice(), cluster.scaled) == (None, [])


async def test_ready_replica_takes_the_slice_away_after_a_pause(cluster: Cluster) -> None:
    await asleep(cluster)
    cluster.pods(ready=True)
    await cluster.run(SETTLE_SECONDS - 0.5)
    assert cluster.slice()
    await cluster.run(1)
    assert cluster.slice() is None
    await cluster.run(5)
    assert cluster.slice() is None


async def test_activator_gets_no_requests_before_its_port_is_open(cluster: Cluster) -> None:
    cluster.open = {"10.1.0.2"}
    cluster.service(**sleeping())
    cluster.pods(ready=False)
    await cluster.run(1)
    assert cluster.ready_hosts() == ["10.1.0.2"]
    cluster.open |= {"10.1.0.1"}
    await cluster.run(10)
    assert cluster.ready_hosts() == ["10.1.0.1", "10.1.0.2"]


async def test_dead_activator_leaves_all_slices_and_a_new_one_enters(cluster: Cluster) -> None:
    await asleep(cluster)
    cluster.activators("10.1.0.2")
    await cluster.run()
    assert cluster.ready_hosts() == ["10.1.0.2"]
    cluster.open |= {"10.1.0.3"}
    cluster.activators("10.1.0.2", "10.1.0.3")
    await cluster.run(1)
    assert cluster.ready_hosts() == ["10.1.0.2", "10.1.0.3"]


async def test_num_replicas_zero_is_refused_by_the_activator(cluster: Cluster) -> None:
    cluster.service(numReplicas=0)
    await cluster.run(1)
    found = cluster.slice()
    assert found and found["metadata"]["annotations"] == {labels.ACTIVATION: labels.ACTIVATION_NONE}
    cluster.service(**sleeping())
    await cluster.run(1)
    found = cluster.slice()
    assert found and found["metadata"]["annotations"] == {labels.ACTIVATION: labels.ACTIVATION_WAKE}


async def test_min_replicas_one_keeps_the_slice_until_a_replica_is_ready(cluster: Cluster) -> None:
    await asleep(cluster)
    cluster.service(autoScaler={"minReplicas": 1})
    await cluster.run(5)
    assert cluster.slice()
    cluster.pods(ready=True)
    await cluster.run(SETTLE_SECONDS + 1)
    assert cluster.slice() is None


async def test_scaler_continues_after_a_restart_at_each_step(cluster: Cluster) -> None:
    cluster.service(**sleeping())
    cluster.pods(ready=True)
    await cluster.run(11)
    assert cluster.slice()  # on the way down
    cluster.restart()
    cluster.pods(ready=True)
    await cluster.run(SETTLE_SECONDS + 1)
    assert (cluster.slice(), cluster.scaled) == (None, [])
    await cluster.run(20)
    assert cluster.scaled == [0]
    cluster.restart()  # scaled, and the replica still ends
    cluster.pods(ready=False, terminating=True)
    await cluster.run(10)
    assert cluster.ready_hosts() == ["10.1.0.1", "10.1.0.2"]
    cluster.restart()  # woken
    cluster.pods(ready=True)
    await cluster.run(SETTLE_SECONDS + 1)
    assert cluster.slice() is None


async def test_number_set_at_the_same_time_wins(cluster: Cluster) -> None:
    async def raise_conflict() -> None:
        raise Conflict("changed", status=409)

    cluster.on_scale = raise_conflict
    cluster.service(**sleeping())
    cluster.pods(ready=True)
    await cluster.run(18)
    assert cluster.scaled == []
    cluster.load = Load(requests=3)
    cluster.on_scale = None
    await cluster.run(5)
    assert (cluster.scaled, cluster.slice()) == ([], None)


async def test_services_have_different_ports(cluster: Cluster) -> None:
    for name in ("a", "b", "c"):
        cluster.service(name, **sleeping())
    await cluster.run(1)
    ports = [cluster.slice(name)["ports"][0]["port"] for name in ("a", "b", "c")]  # type: ignore[index]
    assert ports == [20000, 20001, 20002]
    cluster.pods(ready=True, name="b")
    await cluster.run(5)
    assert cluster.slice("b") is None
    cluster.service("d", **sleeping())
    await cluster.run(1)
    assert cluster.slice("d")["ports"][0]["port"] == 20003  # type: ignore[index]


def test_port_that_is_free_again_waits_for_the_turn_of_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A data plane that has not followed yet would lead requests of the old Service to the new one."""
    monkeypatch.setattr(labels, "ACTIVATOR_PORTS", range(20000, 20004))
    ports = Ports(first=2)
    given = []
    for number in range(5):
        service = ServiceKey(NS, str(number))
        given.append(ports.port_of(service, None))
        ports.forget(service)
    assert given == [20002, 20003, 20000, 20001, 20002]


async def test_collision_of_ports_is_repaired_by_the_younger_slice(cluster: Cluster) -> None:
    """Two leaders for a moment, each with its own view, may give the same port."""
    for name in ("a", "b"):
        cluster.service(name, **sleeping())
    await cluster.run(1)
    body = copy.deepcopy(cluster.slice("b"))
    assert body
    body["ports"][0]["port"] = 20000
    cluster._store(body["metadata"]["name"], body)
    await cluster.run(1)
    ports = [cluster.slice(name)["ports"][0]["port"] for name in ("a", "b")]  # type: ignore[index]
    assert ports[0] == 20000
    assert ports[1] != 20000
    assert cluster.ready_hosts("b") == ["10.1.0.1", "10.1.0.2"]


def slice_of_somebody_else(name: str) -> dict[str, Any]:
    return {
        "metadata": {"namespace": NS, "name": name, "labels": {labels.SLICE_SERVICE: "m"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.9.9.9"], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": 80}],
    }


async def test_slice_of_somebody_else_is_reported_once_and_no_replica(cluster: Cluster) -> None:
    await asleep(cluster)
    cluster.see(slice_of_somebody_else("mine"))
    await cluster.run(60)
    assert cluster.ready_hosts() == ["10.1.0.1", "10.1.0.2"]  # it would leave if a replica were ready
    (event,) = cluster.events
    assert (event["type"], event["reason"]) == ("Warning", "StrangeEndpointSlice")
    assert event["regarding"]["uid"] == "uid-m"
    assert event["note"].startswith("EndpointSlice mine is neither from Kubernetes nor from the scaler.")
    cluster.see(slice_of_somebody_else("mine"), deleted=True)
    await cluster.run(1)
    cluster.see(slice_of_somebody_else("mine"))
    await cluster.run(1)
    assert len(cluster.events) == 2


async def test_taken_name_of_the_slice_is_reported_once_and_keeps_the_replicas(cluster: Cluster) -> None:
    cluster.slices["m-activator"] = slice_of_somebody_else("m-activator")  # the watch does not select it
    cluster.service(**sleeping())
    cluster.pods(ready=True)
    await cluster.run(300)
    assert cluster.scaled == []
    (event,) = cluster.events
    assert event["reason"] == "NameTaken"
    assert "m-activator belongs to somebody else" in event["note"]
    del cluster.slices["m-activator"]
    await cluster.run(120)
    assert cluster.scaled == [0]


async def test_slice_that_the_watch_has_yet_to_show_is_not_reported(cluster: Cluster) -> None:
    cluster.service(**sleeping())
    await cluster.run(1)
    shown = cluster.slice()
    assert shown
    cluster.see(shown, deleted=True)
    await cluster.run(5)
    assert cluster.events == []
    cluster.see(shown)
    await cluster.run(1)
    assert cluster.ready_hosts() == ["10.1.0.1", "10.1.0.2"]


async def test_steady_state_writes_nothing(cluster: Cluster) -> None:
    await asleep(cluster)
    before = cluster.version
    await cluster.run(300)
    assert cluster.version == before


async def test_follower_writes_nothing(cluster: Cluster) -> None:
    cluster.controller._is_leading = False
    cluster.service(**sleeping())
    await cluster.run(5)
    assert cluster.slices == {}
    assert Key("Service", NS, "m") not in cluster.queue._queued
