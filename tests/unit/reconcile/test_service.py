"""Services: rollout, scaling, access keys, and the status of failures."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import (
    OperatorHarness,
    image,
    sample_objects,
    service,
    succeed,
)

from modelyard.api import labels
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.contract.build_request import BuildError, BuildResult, Step
from modelyard.kube.errors import Rejected
from modelyard.kube.types import (
    AUTOSCALERS,
    CORE_SERVICES,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    PODS,
    SECRETS,
    ApiResource,
    Json,
)
from modelyard.reconcile.timestamps import format_timestamp
from modelyard.resources.serving import template_hash
from modelyard.settings import OperatorSettings

AUTOSCALED: dict[str, Any] = {
    "numReplicas": None,
    "autoScaler": {"autoscaleEnabled": True, "minReplicas": 2, "maxReplicas": 5},
}
FIXED: dict[str, Any] = {"numReplicas": 3, "autoScaler": None}


def exists(harness: OperatorHarness, resource: ApiResource, name: str = "m") -> bool:
    return (resource, "default", name) in harness.cluster.objects


def replicas(harness: OperatorHarness) -> int:
    count: int = harness.cluster.at(DEPLOYMENTS, "m")["spec"]["replicas"]
    return count


def scale(harness: OperatorHarness, count: int) -> None:
    """Set the replicas of the Deployment, as an autoscaler does."""
    harness.cluster.change(DEPLOYMENTS, "default", "m", {"spec": {"replicas": count}})


def sent_replicas(harness: OperatorHarness) -> list[Any]:
    """Return the different `replicas` of the Deployment, in the order of its generations."""
    specs = [e.body["spec"]["replicas"] for e in harness.cluster.history if e.resource == DEPLOYMENTS]
    return [count for count, before in zip(specs, [None, *specs], strict=False) if count != before]


def add_pod(
    harness: OperatorHarness, status: dict[str, Any], name: str = "m-1", *, present: bool = True
) -> None:
    """Create a pod of the Deployment's present template, or of an older one."""
    mark = template_hash(harness.cluster.at(DEPLOYMENTS, "m"))
    annotations = {labels.TEMPLATE_HASH: mark if present else "an older one"}
    metadata = {"name": name, "labels": labels.selector_of("m"), "annotations": annotations}
    harness.cluster.put(PODS, "default", {"metadata": metadata, "status": status})


def container(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "scoring", "image": "i@sha256:1", "state": state, **more}]}


# rollout


async def test_changed_model_rolls_the_service(serving: OperatorHarness) -> None:
    first = serving.status("Service")["imageLocation"]
    serving.change("Model", url="https://h/2")
    await serving.settle()
    assert serving.summary("Service") == ("m:1", "Running", "ImageNotReady")
    assert serving.condition("Service", "Available")["status"] == "True"
    await serving.play()
    status = serving.status("Service")
    assert serving.summary("Service") == ("m:2", "Succeeded", "Serving")
    assert (status["imageId"], status["manifestId"], status["modelIds"]) == ("m:2", "m:2", ["m:2"])
    assert status["imageLocation"] != first
    assert serving.revision_annotations("Service", 1)["state"] == "Succeeded"


async def test_pinned_image_is_not_followed(harness: OperatorHarness) -> None:
    harness.apply(*sample_objects()[:3], service(imageId="m:1"))
    await harness.play()
    harness.change("Model", url="https://h/2")
    await harness.play()
    assert harness.summary("Image")[0] == "m:2"
    assert harness.summary("Service") == ("m:1", "Succeeded", "Serving")
    assert harness.status("Service")["imageId"] == "m:1"


async def test_service_waits_for_a_pinned_image_that_was_cancelled(harness: OperatorHarness) -> None:
    harness.apply(*sample_objects()[:3], service(imageId="m:1"))
    await harness.settle()
    harness.change("Model", url="https://h/2")
    await harness.play()
    assert harness.summary("Service") == ("", "NotStarted", "ImageCancelled")


def fail_builds(harness: OperatorHarness, *, transient: bool) -> None:
    error = BuildError(code="X", step=Step.BUILD, message="no", transient=transient)
    harness.outcome = lambda _: BuildResult(error=error)


@pytest.mark.parametrize(("transient", "stalled"), [(False, "True"), (True, "False")])
async def test_service_stalls_while_its_image_has_failed_for_good(
    harness: OperatorHarness, transient: bool, stalled: str
) -> None:
    fail_builds(harness, transient=transient)
    harness.apply(*sample_objects())
    await harness.play(seconds=3)
    assert harness.summary("Service") == ("", "NotStarted", "ImageFailed")
    assert harness.condition("Service", "Stalled")["status"] == stalled
    assert harness.condition("Service", "Reconciling")["status"] != stalled
    assert "with X" in harness.condition("Service", "Ready")["message"]
    harness.outcome = succeed
    harness.change("Manifest", assets=[{"id": "driver", "content": "def run(body): return 2"}])
    await harness.play()
    assert harness.summary("Service") == ("m:1", "Succeeded", "Serving")
    assert harness.condition("Service", "Stalled")["status"] == "False"


async def test_service_stalls_after_the_last_attempt_of_its_image() -> None:
    harness = OperatorHarness(OperatorSettings.model_validate({"build": {"attempts": 2, "retrySeconds": 10}}))
    await harness.start()
    fail_builds(harness, transient=True)
    harness.apply(*sample_objects())
    await harness.play(seconds=3)
    assert harness.condition("Service", "Stalled")["status"] == "False"
    await harness.play()
    assert harness.condition("Service", "Stalled")["status"] == "True"
    await harness.stop()


async def test_failed_image_leaves_the_old_one_serving(serving: OperatorHarness) -> None:
    before = serving.cluster.at(DEPLOYMENTS, "m")["spec"]
    serving.change("Manifest", targetRuntime={"runtimeType": "SparkPython", "properties": {}})
    await serving.play()
    assert serving.summary("Image") == ("m:2", "Failed", "RuntimeNotSupported")
    assert serving.summary("Service") == ("m:1", "Succeeded", "Serving")
    assert "the build of Image m:2 failed" in serving.condition("Service", "Ready")["message"]
    assert serving.cluster.at(DEPLOYMENTS, "m")["spec"] == before


async def test_newer_image_follows_during_the_first_rollout(harness: OperatorHarness) -> None:
    harness.serves = False
    harness.apply(*sample_objects())
    await harness.play(seconds=3)
    harness.change("Model", url="https://h/2")
    await harness.settle()
    harness.roll("m")
    await harness.settle()
    assert harness.summary("Service") == ("m:1", "Running", "ImageNotReady")
    harness.serves = True
    await harness.play()
    assert harness.summary("Service") == ("m:2", "Succeeded", "Serving")
    assert harness.revision_annotations("Service", 1)["state"] == "Succeeded"


async def test_superseded_rollout_is_cancelled(harness: OperatorHarness) -> None:
    harness.serves = False
    harness.apply(*sample_objects())
    await harness.play(seconds=3)
    assert harness.summary("Service") == ("m:1", "Running", "RollingOut")
    harness.change("Service", maxConcurrentRequestsPerContainer=2)
    await harness.settle()
    assert harness.summary("Service")[:2] == ("m:2", "Running")
    assert harness.revision_annotations("Service", 1)["state"] == "Cancelled"


async def test_service_without_its_image_is_scaled_and_repaired(serving: OperatorHarness) -> None:
    location = serving.status("Service")["imageLocation"]
    serving.cluster.remove(CUSTOM_RESOURCES["Image"], "default", "m")
    await serving.play()
    serving.change("Service", numReplicas=3)
    serving.cluster.remove(CORE_SERVICES, "default", "m")
    serving.cluster.change(SECRETS, "default", "m-keys", {"data": {"primaryKey": None}})
    foreign = {"name": "scoring", "image": "other@sha256:2"}
    template = {"template": {"spec": {"containers": [foreign]}}}
    serving.cluster.change(DEPLOYMENTS, "default", "m", {"spec": template})
    await serving.play()
    assert serving.summary("Service") == ("m:1", "NotStarted", "ImageNotFound")
    assert serving.condition("Service", "Ready")["message"].endswith("the Deployment has the last image")
    assert replicas(serving) == 3
    assert exists(serving, CORE_SERVICES)
    assert set(serving.cluster.at(SECRETS, "m-keys")["data"]) == {"primaryKey", "secondaryKey"}
    containers = serving.cluster.at(DEPLOYMENTS, "m")["spec"]["template"]["spec"]["containers"]
    assert [item["image"] for item in containers] == [location]


async def test_deleted_image_leaves_the_pods_serving(serving: OperatorHarness) -> None:
    serving.cluster.remove(CUSTOM_RESOURCES["Image"], "default", "m")
    await serving.play()
    status = serving.status("Service")
    assert serving.summary("Service") == ("m:1", "NotStarted", "ImageNotFound")
    assert serving.condition("Service", "Available")["status"] == "True"
    assert (status["readyReplicas"], status["scoringUri"]) == (1, "http://m.default.svc.cluster.local/score")
    assert serving.revision_annotations("Service", 1)["state"] == "Succeeded"
    serving.apply(image())
    await serving.play()
    assert serving.summary("Service") == ("m:1", "Succeeded", "Serving")
    assert serving.builds == 1


async def test_replicas_that_fail_after_the_rollout_start_no_operation(serving: OperatorHarness) -> None:
    status = {"availableReplicas": 0, "readyReplicas": 0}
    serving.cluster.change(DEPLOYMENTS, "default", "m", {"status": status}, "status")
    await serving.settle()
    assert serving.summary("Service") == ("m:1", "Succeeded", "Unavailable")
    assert [serving.condition("Service", type_)["status"] for type_ in ("Ready", "Available", "Stalled")] == [
        "False",
        "False",
        "False",
    ]


# times


async def test_end_of_a_rollout_is_when_its_replicas_became_available(harness: OperatorHarness) -> None:
    harness.serves = False
    harness.apply(*sample_objects())
    await harness.play(seconds=3)
    assert "endTime" not in harness.status("Service")
    harness.clock.move(3600)
    harness.serves = True
    await harness.play(seconds=100)
    ended = harness.status("Service")["endTime"]
    assert ended == harness.condition("Service", "Ready")["lastTransitionTime"] == text_of(harness, 0)
    harness.clock.move(3600)
    await harness.play()
    assert harness.status("Service")["endTime"] == ended
    harness.change("Model", url="https://h/2")
    await harness.settle()
    assert harness.revision_annotations("Service", 1)["ended"] == ended
    assert "endTime" not in harness.status("Service")
    harness.clock.move(3600)
    await harness.play(seconds=100)
    assert harness.status("Service")["endTime"] > text_of(harness, -200)


async def test_end_of_a_version_stays_when_its_replicas_fail_later(serving: OperatorHarness) -> None:
    ended = serving.status("Service")["endTime"]
    status = {"availableReplicas": 0, "readyReplicas": 0}
    serving.clock.move(3600)
    serving.cluster.change(DEPLOYMENTS, "default", "m", {"status": status}, "status")
    await serving.settle()
    assert serving.condition("Service", "Ready")["lastTransitionTime"] == text_of(serving, 0)
    assert serving.status("Service")["endTime"] == ended
    serving.clock.move(3600)
    serving.change("Service", maxConcurrentRequestsPerContainer=2)
    await serving.play()
    assert serving.revision_annotations("Service", 1)["ended"] == ended


async def test_end_of_a_version_of_an_older_release_is_the_transition_of_ready(
    serving: OperatorHarness,
) -> None:
    ended = serving.status("Service")["endTime"]
    await serving.stop()
    serving.cluster.change(
        CUSTOM_RESOURCES["Service"], "default", "m", {"status": {"endTime": None}}, "status"
    )
    serving.clock.move(3600)
    await serving.start()
    await serving.play()
    assert serving.status("Service")["endTime"] == ended


async def test_superseded_rollout_ends_with_the_next_version(harness: OperatorHarness) -> None:
    harness.serves = False
    harness.apply(*sample_objects())
    await harness.play(seconds=3)
    harness.clock.move(60)
    harness.change("Service", maxConcurrentRequestsPerContainer=2)
    await harness.settle()
    annotations = harness.revision_annotations("Service", 1)
    assert (annotations["state"], annotations["ended"]) == ("Cancelled", text_of(harness, 0))


def text_of(harness: OperatorHarness, seconds: float) -> str:
    """Return the present time, moved by `seconds`, as the Kubernetes API writes it."""
    return format_timestamp(harness.clock() + dt.timedelta(seconds=seconds))


# scaling


@pytest.mark.parametrize(
    ("spec", "autoscaler", "budget", "count"),
    [
        ({}, True, False, 1),
        ({"numReplicas": 0}, False, False, 0),
        ({"numReplicas": 1}, False, False, 1),
        ({"numReplicas": 2}, False, True, 2),
        (AUTOSCALED, True, True, 2),
        ({"autoScaler": {"autoscaleEnabled": False}}, False, False, 1),
    ],
    ids=str,
)
async def test_children_depend_on_the_scaling(
    harness: OperatorHarness, spec: dict[str, Any], autoscaler: bool, budget: bool, count: int
) -> None:
    harness.apply(
        *sample_objects()[:3], service(**{key: value for key, value in spec.items() if value is not None})
    )
    await harness.play()
    assert harness.summary("Service") == ("m:1", "Succeeded", "Serving")
    assert exists(harness, AUTOSCALERS) is autoscaler
    assert exists(harness, DISRUPTION_BUDGETS) is budget
    assert replicas(harness) == harness.status("Service")["replicas"] == count


async def test_autoscaler_owns_the_replicas(serving: OperatorHarness) -> None:
    scale(serving, 5)
    await serving.play()
    serving.change("Service", maxConcurrentRequestsPerContainer=4)
    await serving.play()
    assert serving.summary("Service") == ("m:2", "Succeeded", "Serving")
    assert sent_replicas(serving) == [1, 5]


async def test_scaling_switches_between_fixed_and_autoscaled(serving: OperatorHarness) -> None:
    scale(serving, 4)
    await serving.play()
    serving.change("Service", numReplicas=6)
    await serving.play()
    assert not exists(serving, AUTOSCALERS)
    serving.change("Service", **AUTOSCALED)
    await serving.play()
    assert exists(serving, AUTOSCALERS)
    serving.change("Service", **FIXED)
    await serving.play()
    assert sent_replicas(serving) == [1, 4, 6, 3]
    assert not exists(serving, AUTOSCALERS)


async def test_autoscaler_is_deleted_before_replicas_are_fixed(serving: OperatorHarness) -> None:
    serving.change("Service", numReplicas=6)
    await serving.play()
    writes = [(call.verb, call.resource) for call in serving.cluster.writes]
    last_delete = writes.index(("delete", "horizontalpodautoscalers"))
    assert ("patch", "deployments") in writes[last_delete:]
    assert ("patch", "deployments") not in writes[:last_delete]


async def test_budget_comes_with_the_second_replica_and_stays(serving: OperatorHarness) -> None:
    assert not exists(serving, DISRUPTION_BUDGETS)
    for count in (2, 1):
        scale(serving, count)
        await serving.play()
        assert exists(serving, DISRUPTION_BUDGETS)
    serving.change("Service", autoScaler={"maxReplicas": 1})
    await serving.play()
    assert not exists(serving, DISRUPTION_BUDGETS)


async def test_paused_deployment_is_resumed(serving: OperatorHarness) -> None:
    serving.cluster.change(DEPLOYMENTS, "default", "m", {"spec": {"paused": True}})
    await serving.play()
    assert "paused" not in serving.cluster.at(DEPLOYMENTS, "m")["spec"]
    before = len(serving.cluster.writes)
    await serving.play()
    assert serving.cluster.writes[before:] == []


async def test_autoscaling_scales_the_service_from_zero(serving: OperatorHarness) -> None:
    serving.change("Service", numReplicas=0)
    await serving.play()
    assert replicas(serving) == 0
    serving.change("Service", **AUTOSCALED)
    await serving.play()
    assert replicas(serving) == 2
    assert serving.summary("Service") == ("m:3", "Succeeded", "Serving")


@pytest.mark.parametrize(
    ("scaler", "paused"),
    [({"maxReplicas": 3}, True), ({"autoscaleEnabled": False}, False), (None, False)],
)
async def test_condition_reports_that_num_replicas_disables_the_autoscaler(
    harness: OperatorHarness, scaler: Json | None, paused: bool
) -> None:
    harness.apply(*sample_objects()[:3], service(autoScaler=scaler, numReplicas=2))
    await harness.play()
    reasons = {condition["reason"] for condition in harness.status("Service")["conditions"]}
    assert ("FixedReplicas" in reasons) == paused
    harness.change("Service", numReplicas=None)
    await harness.play()
    assert "FixedReplicas" not in {item["reason"] for item in harness.status("Service")["conditions"]}


async def test_status_has_the_selector_of_the_scale_subresource(harness: OperatorHarness) -> None:
    harness.apply(*sample_objects())
    await harness.play()
    assert harness.status("Service")["selector"] == "modelyard.dev/service=m"


async def test_condition_reports_that_traces_have_no_destination(harness: OperatorHarness) -> None:
    harness.apply(*sample_objects()[:3], service(appInsightsEnabled=True))
    await harness.play()
    condition = harness.condition("Service", "AppInsights")
    assert (condition["status"], condition["reason"]) == ("False", "NotOffered")
    assert harness.condition("Service", "Ready")["status"] == "True"
    harness.change("Service", appInsightsEnabled=False)
    await harness.play()
    assert "AppInsights" not in _condition_types(harness)


@pytest.mark.parametrize(
    "scoring", [{"otlpEndpoint": "http://collector:4318"}, {"appInsightsSecret": "insights"}]
)
async def test_traces_with_a_destination_have_no_condition(scoring: dict[str, str]) -> None:
    harness = OperatorHarness(OperatorSettings.model_validate({"scoring": scoring}))
    await harness.start()
    harness.apply(*sample_objects()[:3], service(appInsightsEnabled=True))
    await harness.play()
    assert harness.condition("Service", "Ready")["status"] == "True"
    assert "AppInsights" not in _condition_types(harness)
    await harness.stop()


def _condition_types(harness: OperatorHarness) -> list[str]:
    return [one["type"] for one in harness.status("Service")["conditions"]]


# children


async def test_removed_key_is_replaced_and_the_other_stays(serving: OperatorHarness) -> None:
    before = serving.cluster.at(SECRETS, "m-keys")["data"]
    assert before["primaryKey"] != before["secondaryKey"]
    serving.change("Service", maxConcurrentRequestsPerContainer=2)
    await serving.play()
    assert serving.cluster.at(SECRETS, "m-keys")["data"] == before
    serving.cluster.change(SECRETS, "default", "m-keys", {"data": {"primaryKey": None}})
    await serving.play()
    after = serving.cluster.at(SECRETS, "m-keys")["data"]
    assert after["secondaryKey"] == before["secondaryKey"]
    assert after["primaryKey"] not in {None, "", before["primaryKey"]}


async def test_rejected_request_fails_the_service_and_is_retried(serving: OperatorHarness) -> None:
    def refuse(_: int, call: Call) -> None:
        if call[:2] == ("patch", "deployments"):
            raise Rejected("exceeded quota: pods", status=403, reason="Forbidden")

    serving.cluster.fault = refuse
    serving.change("Service", numReplicas=100)
    await serving.play(seconds=30)
    assert serving.summary("Service") == ("m:2", "Failed", "Forbidden")
    assert "exceeded quota: pods" in serving.condition("Service", "Ready")["message"]
    assert serving.condition("Service", "Available")["status"] == "True"
    assert serving.status("Service")["scoringUri"]
    serving.cluster.fault = lambda number, call: None
    await serving.play()
    assert serving.summary("Service") == ("m:2", "Succeeded", "Serving")


# failed rollouts

BACKING_OFF = container({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}})
PULLING = container({"waiting": {"reason": "ErrImagePull", "message": "no such image"}})
CRASHED = container(
    {"waiting": {"reason": "CrashLoopBackOff"}}, lastState={"terminated": {"exitCode": 3}}, restartCount=2
)
NO_ROOM = {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]}


@pytest.mark.parametrize(
    ("pod", "said"),
    [
        (BACKING_OFF, ("m:1", "Failed", "ImagePullFailed")),
        (PULLING, ("m:1", "Running", "ImagePullFailed")),
        (CRASHED, ("m:1", "Failed", "ContainerCrashed")),
        (NO_ROOM, ("m:1", "Running", "Unschedulable")),
        (container({"running": {}}), ("m:1", "Running", "RollingOut")),
    ],
    ids=str,
)
async def test_rollout_reports_the_diagnosis_of_its_pods(
    harness: OperatorHarness, pod: dict[str, Any], said: tuple[str, str, str]
) -> None:
    harness.serves = False
    harness.apply(*sample_objects())
    await harness.play(seconds=2)
    add_pod(harness, pod)
    harness.cluster.logs["m-1"] = "ImportError: no module named x"
    await harness.play(seconds=10)
    assert harness.summary("Service") == said
    error = harness.status("Service").get("error", {})
    assert error.get("code") == (said[2] if said[1] == "Failed" else None)
    if said[2] == "ContainerCrashed":
        assert error["details"] == [{"code": "Log", "message": "ImportError: no module named x"}]
    harness.serves = True
    await harness.play()
    assert harness.summary("Service") == ("m:1", "Succeeded", "Serving")
    assert "error" not in harness.status("Service")


async def test_failed_rollout_leaves_old_pods_serving_until_the_next_version(
    serving: OperatorHarness,
) -> None:
    serving.serves = False
    serving.change("Service", maxConcurrentRequestsPerContainer=2)
    await serving.play(seconds=3)
    add_pod(serving, CRASHED, "old", present=False)
    await serving.play(seconds=10)
    assert serving.summary("Service") == ("m:2", "Running", "RollingOut")
    add_pod(serving, CRASHED)
    await serving.play(seconds=30)
    assert serving.summary("Service") == ("m:2", "Failed", "ContainerCrashed")
    assert serving.condition("Service", "Available")["status"] == "True"
    serving.change("Service", maxConcurrentRequestsPerContainer=1)
    serving.serves = True
    await serving.play()
    assert serving.summary("Service") == ("m:3", "Succeeded", "Serving")
    assert serving.revision_annotations("Service", 2)["state"] == "Failed"
    assert "ContainerCrashed" in serving.revision_annotations("Service", 2)["error"]


async def test_failed_rollout_stays_failed_while_its_pod_restarts(harness: OperatorHarness) -> None:
    harness.serves = False
    harness.apply(*sample_objects())
    await harness.play(seconds=2)
    add_pod(harness, BACKING_OFF)
    await harness.play(seconds=20)
    for status in (PULLING, BACKING_OFF, PULLING):
        harness.cluster.change(PODS, "default", "m-1", {"status": status})
        await harness.play(seconds=70)
        assert harness.summary("Service") == ("m:1", "Failed", "ImagePullFailed")
    assert harness.events("ImagePullFailed") == 1


async def test_scaling_ignores_the_restarts_of_a_ready_replica(serving: OperatorHarness) -> None:
    ended = {"terminated": {"exitCode": 0, "finishedAt": "2025-12-31T00:00:00Z"}}
    restarted = container({"running": {}}, lastState=ended, restartCount=2)
    add_pod(serving, restarted | {"conditions": [{"type": "Ready", "status": "True"}]})
    serving.serves = False
    serving.change("Service", numReplicas=2)
    await serving.play(seconds=10)
    assert serving.summary("Service") == ("m:2", "Running", "RollingOut")
    assert serving.events("ContainerCrashed") == 0


QUOTA = {
    "type": "ReplicaFailure",
    "status": "True",
    "reason": "FailedCreate",
    "message": 'pods "m-1" is forbidden: exceeded quota: pods, requested: pods=1, limited: pods=1',
}


async def test_refused_pods_are_reported_at_once(harness: OperatorHarness) -> None:
    harness.serves = False
    harness.apply(*sample_objects())
    await harness.play(seconds=2)
    harness.cluster.change(DEPLOYMENTS, "default", "m", {"status": {"conditions": [QUOTA]}}, "status")
    await harness.settle()
    assert harness.summary("Service") == ("m:1", "Running", "ReplicasRefused")
    assert QUOTA["message"] in harness.condition("Service", "Ready")["message"]
    assert harness.condition("Service", "Stalled")["status"] == "False"
    harness.serves = True
    await harness.play()
    assert harness.summary("Service") == ("m:1", "Succeeded", "Serving")


async def test_service_that_serves_reports_refused_pods(serving: OperatorHarness) -> None:
    serving.cluster.change(DEPLOYMENTS, "default", "m", {"status": {"conditions": [QUOTA]}}, "status")
    await serving.settle()
    assert serving.summary("Service") == ("m:1", "Succeeded", "Serving")
    assert serving.condition("Service", "ReplicaFailure")["message"] == QUOTA["message"]
    await serving.play()
    assert all(one["type"] != "ReplicaFailure" for one in serving.status("Service")["conditions"])


async def test_service_without_replicas_reports_refused_pods(serving: OperatorHarness) -> None:
    status = {"availableReplicas": 0, "readyReplicas": 0, "conditions": [QUOTA]}
    serving.cluster.change(DEPLOYMENTS, "default", "m", {"status": status}, "status")
    await serving.settle()
    assert serving.summary("Service") == ("m:1", "Succeeded", "Unavailable")
    assert QUOTA["message"] in serving.condition("Service", "Ready")["message"]


async def test_rollout_fails_at_its_deadline(harness: OperatorHarness) -> None:
    harness.serves = False
    harness.apply(*sample_objects())
    await harness.play(seconds=10)
    late = {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": "too late",
    }
    harness.cluster.change(DEPLOYMENTS, "default", "m", {"status": {"conditions": [late]}}, "status")
    await harness.settle()
    assert harness.summary("Service") == ("m:1", "Failed", "RolloutDeadlineExceeded")
    assert harness.status("Service")["error"]["message"] == "too late"


async def test_failed_rollout_writes_only_changes(harness: OperatorHarness) -> None:
    harness.serves = False
    harness.apply(*sample_objects())
    await harness.play(seconds=2)
    add_pod(harness, CRASHED)
    harness.cluster.logs["m-1"] = "a log"
    await harness.play(seconds=20)
    before = len(harness.cluster.writes)
    await harness.play(seconds=600)
    assert harness.cluster.writes[before:] == []


async def test_replicas_stay_when_the_autoscaler_is_switched_off(
    serving: OperatorHarness,
) -> None:
    scale(serving, 4)
    await serving.play()
    serving.change("Service", autoScaler={"autoscaleEnabled": False})
    await serving.play()
    assert not exists(serving, AUTOSCALERS)
    assert serving.cluster.at(DEPLOYMENTS, "m")["spec"]["replicas"] == 4
    assert serving.summary("Service") == ("m:2", "Succeeded", "Serving")
