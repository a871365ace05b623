"""Children are deleted with their owner, and objects of others stay unchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import httpx
from tests.support.cluster import Kubectl, eventually
from tests.support.files import Files
from tests.support.objects import MODEL_DRIVER, constant_driver, image, manifest, model, service
from tests.support.operator import SYSTEM
from tests.support.status import condition, wait_for_status

Score = Callable[..., httpx.Response]
IMAGE: Final = "modelyard.dev/image"
LEFT_OVERS: Final = (
    "deployments,replicasets,pods,services,endpointslices,hpa,poddisruptionbudgets,secrets,configmaps,"
    "controllerrevisions,jobs"
)
AUTOSCALED: Final = {"autoscaleEnabled": True, "minReplicas": 2, "maxReplicas": 3}


def left(kubectl: Kubectl) -> list[str]:
    """Return the objects in a namespace, without those that Kubernetes creates in each namespace."""
    names = kubectl("get", LEFT_OVERS, "--output", "name").split()
    return [name for name in names if name != "configmap/kube-root-ca.crt"]


def in_system(kubectl: Kubectl) -> list[str]:
    """Build Jobs of a namespace, with their pods, and the Secrets of those Jobs."""
    found = SYSTEM.list("jobs,pods,secrets", "app.kubernetes.io/component=build")
    mine = {
        item["metadata"]["name"]
        for item in found
        if item["metadata"].get("annotations", {}).get(IMAGE, "").startswith(f"{kubectl.namespace}/")
    }
    return [
        f"{item['kind']}/{item['metadata']['name']}" for item in found if item["metadata"]["name"] in mine
    ]


def test_deleted_objects_leave_no_children(kubectl: Kubectl, files: Files) -> None:
    kubectl.apply(
        model("echo", files.url("content/1")), manifest("echo", MODEL_DRIVER, "echo"), image("echo"),
        service("echo", "echo", autoScaler=AUTOSCALED),
        # One more, deleted in the middle of its build.
        model("slow", files.url("slow/300/1")), manifest("slow", MODEL_DRIVER, "slow"), image("slow"),
    )  # fmt: skip
    wait_for_status(kubectl, "msvc", "echo", 120, state="Succeeded")
    wait_for_status(kubectl, "img", "slow", 60, state="Running")
    made = left(kubectl)
    for kind in ("deployment.apps", "service", "horizontalpodautoscaler.autoscaling", "secret", "configmap",
                 "poddisruptionbudget.policy", "controllerrevision.apps"):  # fmt: skip
        assert any(name.startswith(f"{kind}/") for name in made), kind
    jobs = in_system(kubectl)
    assert {name.partition("/")[0] for name in jobs} == {"Job", "Pod", "Secret"}
    kubectl("delete", "mdl,mft,img,msvc", "--all")
    eventually(lambda: not left(kubectl), 60, "nothing is left in the namespace")
    eventually(lambda: not in_system(kubectl), 60, "nothing is left in the operator's namespace")


def test_taken_name_is_reported_and_its_object_unchanged(kubectl: Kubectl, score: Score) -> None:
    kubectl("create", "deployment", "echo", "--image=example.com/somebody/elses:1", "--replicas=0")
    eventually(
        lambda: kubectl.get("deployment", "echo")["status"].get("observedGeneration"), 60, "it is settled"
    )
    foreign = kubectl.get("deployment", "echo")
    kubectl.apply(manifest("echo", constant_driver("mine")), image("echo"), service("echo", "echo"))
    told = wait_for_status(kubectl, "msvc", "echo", 120, state="Failed")
    assert told["error"]["code"] == "NameTaken"
    assert "Deployment echo exists" in told["error"]["message"]
    assert condition(told, "Available")["status"] == "False"
    assert kubectl.get("deployment", "echo") == foreign
    kubectl("delete", "deployment", "echo")
    wait_for_status(kubectl, "msvc", "echo", 120, state="Succeeded")
    assert score(kubectl, "echo").json() == "mine"
