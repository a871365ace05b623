"""Rollouts of new pods for a version that was rolled out before: each is judged like the first one."""

from __future__ import annotations

from typing import Any

from tests.unit.operator_harness import OperatorHarness

from modelyard.api import labels
from modelyard.kube.types import DEPLOYMENTS, PODS, REVISIONS
from modelyard.resources.serving import template_hash

LATE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "late"}


def restart(harness: OperatorHarness) -> None:
    """Change the pod template as `kubectl rollout restart` does."""
    annotations = {"kubectl.kubernetes.io/restartedAt": str(harness.clock())}
    template = {"metadata": {"annotations": annotations}}
    harness.cluster.change(DEPLOYMENTS, "default", "m", {"spec": {"template": template}})


def set_status(harness: OperatorHarness, **status: Any) -> None:
    harness.cluster.change(DEPLOYMENTS, "default", "m", {"status": status}, "status")


def conditions(harness: OperatorHarness) -> tuple[str, str, str, str]:
    """Return the status of Ready, Reconciling and Stalled, and the reason of Ready."""
    types = ("Ready", "Reconciling", "Stalled")
    ready, reconciling, stalled = (harness.condition("Service", type_) for type_ in types)
    return ready["status"], reconciling["status"], stalled["status"], ready["reason"]


async def begin_restart(harness: OperatorHarness) -> None:
    """Restart pods that do not become ready."""
    harness.serves = False
    restart(harness)
    await harness.play(seconds=3)
    assert conditions(harness) == ("False", "True", "False", "RollingOut")


async def test_restart_is_not_ready_until_new_replicas_are(serving: OperatorHarness) -> None:
    await begin_restart(serving)
    assert serving.summary("Service")[:2] == ("m:1", "Succeeded")
    assert serving.condition("Service", "Available")["status"] == "True"
    serving.serves = True
    await serving.play()
    assert conditions(serving) == ("True", "False", "False", "Serving")


async def test_service_is_not_ready_while_no_pod_of_a_recreated_deployment_runs(
    serving: OperatorHarness,
) -> None:
    """The response to the creation of a Deployment has no status, and no number of replicas."""
    serving.cluster.remove(DEPLOYMENTS, "default", "m")
    await serving.play(alone=True)
    assert "status" not in serving.cluster.at(DEPLOYMENTS, "m")
    assert conditions(serving) == ("False", "True", "False", "RollingOut")
    assert serving.condition("Service", "Available")["status"] == "False"
    await serving.play()
    assert conditions(serving) == ("True", "False", "False", "Serving")


async def test_surge_pod_that_is_not_available_is_a_rollout(serving: OperatorHarness) -> None:
    restart(serving)
    generation = serving.cluster.at(DEPLOYMENTS, "m")["metadata"]["generation"]
    set_status(serving, observedGeneration=generation, replicas=2, updatedReplicas=1)
    await serving.settle()
    assert conditions(serving) == ("False", "True", "False", "RollingOut")


async def test_exceeded_deadline_stalls_with_one_event(serving: OperatorHarness) -> None:
    await begin_restart(serving)
    set_status(serving, conditions=[LATE])
    await serving.play(seconds=120, alone=True)
    assert conditions(serving) == ("False", "False", "True", "RolloutDeadlineExceeded")
    assert "late" in serving.condition("Service", "Stalled")["message"]
    assert serving.events("RolloutDeadlineExceeded") == 1


async def test_crash_of_new_pods_stalls_with_its_cause(serving: OperatorHarness) -> None:
    mark = template_hash(serving.cluster.at(DEPLOYMENTS, "m"))
    ended = {"exitCode": 1, "finishedAt": "2027-01-01T00:00:00Z"}
    container = {
        "name": "scoring",
        "image": "i@sha256:1",
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "restartCount": 3,
        "lastState": {"terminated": ended},
    }
    pod = {
        "metadata": {
            "name": "m-2",
            "labels": labels.selector_of("m"),
            "annotations": {labels.TEMPLATE_HASH: mark},
        },
        "status": {"containerStatuses": [container]},
    }
    serving.cluster.put(PODS, "default", pod)
    await begin_restart(serving)
    await serving.play(seconds=60)
    assert conditions(serving)[2] == "True"
    assert "m-2" in serving.condition("Service", "Stalled")["message"]


async def test_failed_repeat_leaves_the_record_of_the_version(serving: OperatorHarness) -> None:
    before = serving.cluster.at(REVISIONS, "service-m-1")
    await begin_restart(serving)
    set_status(serving, conditions=[LATE])
    await serving.play(seconds=120, alone=True)
    assert serving.cluster.at(REVISIONS, "service-m-1") == before


async def test_scaling_is_no_rollout(serving: OperatorHarness) -> None:
    serving.serves = False
    serving.cluster.change(DEPLOYMENTS, "default", "m", {"spec": {"replicas": 4}})
    await serving.settle()
    assert conditions(serving) == ("True", "False", "False", "Serving")
    await serving.play(seconds=120)
    assert conditions(serving) == ("True", "False", "False", "Serving")


async def test_repaired_template_is_a_rollout_before_it_is_observed(serving: OperatorHarness) -> None:
    container = serving.cluster.at(DEPLOYMENTS, "m")["spec"]["template"]["spec"]["containers"][0]
    template = {"spec": {"containers": [container | {"image": "another"}]}}
    serving.cluster.change(DEPLOYMENTS, "default", "m", {"spec": {"template": template}})
    await serving.settle()
    assert conditions(serving) == ("False", "True", "False", "RollingOut")
    await serving.play()
    assert conditions(serving) == ("True", "False", "False", "Serving")


async def test_unobserved_deployment_that_was_made_again_is_a_rollout(serving: OperatorHarness) -> None:
    serving.cluster.remove(DEPLOYMENTS, "default", "m")
    await serving.settle()
    assert conditions(serving) == ("False", "True", "False", "RollingOut")
    await serving.play()
    assert conditions(serving) == ("True", "False", "False", "Serving")
