"""The pods of build Jobs: their order, log and result, and the reason why a pod does not start."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, Final

import pytest

from modelyard.api.labels import JOB_NAME
from modelyard.contract.build_request import BuildResult
from modelyard.kube.errors import KubeError, NotFound
from modelyard.kube.types import EVENTS, PODS, ApiResource, Json
from modelyard.reconcile.builds import pods
from modelyard.reconcile.builds.pods import (
    find_result,
    is_running,
    list_pods,
    pending_reason,
    read_log,
    terminated,
)

DIGEST: Final = f"sha256:{'a' * 64}"


class FakeClient:
    """A Kubernetes client with pods, events and one log. It records each call."""

    def __init__(
        self, *, pods: Iterable[Json] = (), events: Iterable[Json] = (), log: str | KubeError = ""
    ) -> None:
        self.objects = {PODS: pods, EVENTS: events}
        self.response = log
        self.calls: list[tuple[Any, ...]] = []

    async def list_all(self, resource: ApiResource, namespace: str, **query: str) -> list[Json]:
        self.calls.append((resource, namespace, query))
        return list(self.objects[resource])

    async def log(self, namespace: str, pod: str, **query: str) -> str:
        self.calls.append((namespace, pod, query))
        if isinstance(self.response, KubeError):
            raise self.response
        return self.response


def context(client: FakeClient) -> Any:
    """Return the part of a Context that these functions use."""
    return SimpleNamespace(client=client, settings=SimpleNamespace(namespace="system"))


def pod(name: str = "p", *, created: str = "2026-01-01T00:00:00Z", phase: str = "", **state: Json) -> Json:
    """Return a pod with the state of the builder's container."""
    status: Json = {"phase": phase} if phase else {}
    if state:
        sidecar = {"name": "istio-proxy", "image": "i", "state": {"running": {}}}
        status["containerStatuses"] = [sidecar, {"name": "build", "image": "i", "state": state}]
    return {"metadata": {"name": name, "creationTimestamp": created}, "status": status}


def event(note: str, created: str = "2026-01-01T00:00:00Z") -> Json:
    return {"metadata": {"creationTimestamp": created}, "note": note}


def ended(message: str) -> Json:
    """Return a pod whose container wrote a termination message."""
    return pod(terminated={"exitCode": 0, "message": message})


async def test_pods_of_a_job_are_sorted_by_age() -> None:
    new, old = pod("new", created="2026-01-02T00:00:00Z"), pod("old")
    client = FakeClient(pods=[new, old])
    assert await list_pods(context(client), "j") == [old, new]
    assert client.calls == [(PODS, "system", {"labelSelector": f"{JOB_NAME}=j"})]


async def test_log_of_the_newest_pod_is_read_from_the_builder_container() -> None:
    client = FakeClient(log="[Push] pushed\n")
    assert await read_log(context(client), [pod("old"), pod("new")]) == "[Push] pushed\n"
    assert client.calls == [("system", "new", {"container": "build", "tailLines": "10000"})]


async def test_log_without_pods_is_empty() -> None:
    client = FakeClient(log="unused")
    assert await read_log(context(client), []) == ""
    assert client.calls == []


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (KubeError("container is waiting to start", status=400), logging.DEBUG),
        (NotFound("pods p not found", status=404), logging.WARNING),
    ],
    ids=["waiting container", "missing pod"],
)
async def test_unreadable_log_is_empty(
    error: KubeError, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert await read_log(context(FakeClient(log=error)), [pod("p")]) == ""
    (record,) = [record for record in caplog.records if record.name == "modelyard.reconcile.builds.pods"]
    assert record.levelno == level
    assert error.message in record.getMessage()


async def test_job_without_pods_waits_for_the_reason_of_its_newest_warning() -> None:
    events = [event("quota exceeded", "2026-01-02T00:00:00Z"), event("older")]
    client = FakeClient(events=events)
    assert await pending_reason(context(client), "j", []) == "quota exceeded"
    selector = "type=Warning,regarding.kind=Job,regarding.name=j"
    assert client.calls == [(EVENTS, "system", {"fieldSelector": selector})]


async def test_job_without_pods_and_events_has_no_pending_reason() -> None:
    assert await pending_reason(context(FakeClient()), "j", []) == ""


async def test_running_pod_has_no_pending_reason() -> None:
    client = FakeClient(events=[event("unused")])
    assert await pending_reason(context(client), "j", [pod(phase="Running", running={})]) == ""
    assert client.calls == []


async def test_pending_reason_is_the_diagnosis_of_the_newest_pod() -> None:
    client = FakeClient(events=[event("unused")])
    unpulled = pod("new", phase="Pending", waiting={"reason": "ImagePullBackOff", "message": "not found"})
    pulled = pod("old", phase="Pending", waiting={"reason": "ContainerCreating"})
    assert (
        await pending_reason(context(client), "j", [pulled, unpulled]) == "pod new cannot pull i: not found"
    )
    assert client.calls == []


@pytest.mark.parametrize("phase", ["Pending", ""])
async def test_pending_pod_without_diagnosis_has_the_reason_of_its_newest_warning(phase: str) -> None:
    client = FakeClient(events=[event("secret ca not found")])
    assert await pending_reason(context(client), "j", [pod("p", phase=phase)]) == "secret ca not found"
    selector = "type=Warning,regarding.kind=Pod,regarding.name=p"
    assert client.calls == [(EVENTS, "system", {"fieldSelector": selector})]


@pytest.mark.parametrize(
    ("note", "reason"), [("n" * 300, "n" * 300), ("n" * 301, "n" * 300 + "…")], ids=["longest", "too long"]
)
async def test_long_note_is_shortened(note: str, reason: str) -> None:
    assert await pending_reason(context(FakeClient(events=[event(note)])), "j", []) == reason


def test_newest_valid_result_is_found() -> None:
    first, second = BuildResult(digest=DIGEST), BuildResult(digest=f"sha256:{'b' * 64}")
    pods = [ended(result.model_dump_json(by_alias=True)) for result in (first, second)]
    assert find_result(pods) == second
    assert find_result([*pods, ended("Killed"), pod(running={})]) == second
    assert find_result(pods[:1]) == first


@pytest.mark.parametrize(
    "pods", [[], [pod()], [pod(running={})], [ended("")], [ended("killed")]],
    ids=["no pod", "new pod", "running", "no message", "no JSON"],
)  # fmt: skip
def test_pods_without_a_result_have_none(pods: list[Json]) -> None:
    assert find_result(pods) is None


def test_state_is_that_of_the_builder_container() -> None:
    done = pod(terminated={"exitCode": 3})
    assert (terminated(done), is_running(done)) == ({"exitCode": 3}, False)
    running = pod(running={"startedAt": "2026-01-01T00:00:00Z"})
    assert (terminated(running), is_running(running)) == ({}, True)
    assert (terminated(pod()), is_running(pod())) == ({}, False)


async def test_log_that_does_not_come_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """An API server waits 30 s for the kubelet of a lost node."""

    async def hang(*_: object, **__: str) -> str:
        await asyncio.Event().wait()
        return ""

    monkeypatch.setattr(pods, "_LOG_SECONDS", 0)
    client = FakeClient()
    monkeypatch.setattr(client, "log", hang)
    assert await read_log(context(client), [pod()]) == ""
