"""The architectures of an image: its pods run on nodes of these architectures."""

from __future__ import annotations

import pytest
from tests.unit.operator_harness import OperatorHarness, sample_objects

from modelyard.api import labels
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.types import DEPLOYMENTS, PODS, REVISIONS, Json
from modelyard.oci.errors import RegistryUnavailableError

ARM: Json = {"kubernetes.io/arch": "arm64"}


@pytest.fixture
async def arm(harness: OperatorHarness) -> OperatorHarness:
    """An operator with a served chain whose image was built on a node with arm64."""
    return await serve(harness, "arm64")


async def serve(harness: OperatorHarness, *architectures: str) -> OperatorHarness:
    """Build an image for architectures, and wait until its Service is served."""
    harness.registry.architectures_of_builds = architectures
    harness.apply(*sample_objects())
    await harness.play()
    assert harness.summary("Service") == ("m:1", "Succeeded", "Serving")
    return harness


def node_selector(harness: OperatorHarness) -> Json | None:
    selector: Json | None = harness.cluster.at(DEPLOYMENTS, "m")["spec"]["template"]["spec"].get(
        "nodeSelector"
    )
    return selector


async def test_pods_run_on_nodes_of_the_image(arm: OperatorHarness) -> None:
    assert arm.revision_annotations("Image", 1)["image-architecture"] == "arm64"
    assert node_selector(arm) == ARM


async def test_image_that_is_found_in_the_registry_has_its_own_architecture(arm: OperatorHarness) -> None:
    first = arm.cluster.at(DEPLOYMENTS, "m")
    digest = first["spec"]["template"]["spec"]["containers"][0]["image"].rpartition("@")[2]
    arm.registry.architectures_by_digest[digest] = ("arm64",)
    arm.registry.architectures_of_builds = ("amd64",)
    arm.change("Model", url="https://h/2")
    await arm.play()
    assert node_selector(arm) == {"kubernetes.io/arch": "amd64"}
    arm.change("Model", url="https://h/1")
    await arm.play()
    assert arm.builds == 2
    assert arm.summary("Service") == ("m:3", "Succeeded", "Serving")
    assert node_selector(arm) == ARM


async def test_image_waits_for_its_architecture_until_the_registry_answers(harness: OperatorHarness) -> None:
    harness.registry.architectures_of_builds = ("arm64",)
    harness.registry.architecture_errors = [RegistryUnavailableError("down")] * 2
    harness.apply(*sample_objects())
    await harness.play(seconds=600)
    assert harness.registry.architecture_errors == []
    assert (node_selector(harness), harness.builds) == (ARM, 1)
    assert harness.summary("Service") == ("m:1", "Succeeded", "Serving")


async def test_image_without_an_architecture_runs_on_any_node(serving: OperatorHarness) -> None:
    assert "image-architecture" not in serving.revision_annotations("Image", 1)
    assert node_selector(serving) is None


async def test_recorded_architecture_rolls_no_running_pods(serving: OperatorHarness) -> None:
    """The image of an earlier release was lost and is built again: only then its architecture is recorded."""
    serving.registry.architectures_of_builds = ("arm64",)
    lost = {"metadata": {"annotations": {labels.IMAGE_LOST: "true", labels.ATTEMPTS: "1"}}}
    revision = labels.revision_name("Image", "m", 1)
    before = serving.cluster.at(DEPLOYMENTS, "m")["metadata"]["generation"]
    serving.cluster.change(REVISIONS, "default", revision, lost)
    await serving.play()
    assert serving.revision_annotations("Image", 1)["image-architecture"] == "arm64"
    assert serving.cluster.at(DEPLOYMENTS, "m")["metadata"]["generation"] == before
    assert node_selector(serving) is None


async def test_message_names_the_architecture_that_no_node_has(arm: OperatorHarness) -> None:
    arm.serves = False
    arm.change("Service", maxConcurrentRequestsPerContainer=2)
    await arm.settle()
    detail = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": detail}
    template = arm.cluster.at(DEPLOYMENTS, "m")["spec"]["template"]
    pod = {
        "metadata": {**template["metadata"], "name": "m-x"},
        "spec": template["spec"],
    }
    arm.cluster.put(PODS, "default", {**PODS.header(), **pod})
    arm.cluster.change(PODS, "default", "m-x", {"status": {"conditions": [condition]}}, "status")
    await arm.play(seconds=60)
    assert arm.summary("Service") == ("m:2", "Running", "Unschedulable")
    message = arm.condition("Service", "Ready")["message"]
    assert "the image is for arm64: add nodes with kubernetes.io/arch=arm64, or build" in message


@pytest.fixture
async def both(harness: OperatorHarness) -> OperatorHarness:
    """An operator with a served chain whose image is an index for two architectures."""
    return await serve(harness, "amd64", "arm64")


def node_affinity(harness: OperatorHarness) -> Json | None:
    affinity: Json | None = harness.cluster.at(DEPLOYMENTS, "m")["spec"]["template"]["spec"].get("affinity")
    return affinity


BOTH: Json = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {
                    "matchExpressions": [
                        {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64", "arm64"]}
                    ]
                }
            ]
        }
    }
}


async def test_pods_of_an_index_run_on_nodes_of_each_of_its_architectures(both: OperatorHarness) -> None:
    assert both.revision_annotations("Image", 1)["image-architecture"] == "amd64,arm64"
    assert (node_affinity(both), node_selector(both)) == (BOTH, None)
    assert both.status("Image")["platforms"] == ["linux/amd64", "linux/arm64"]


@pytest.mark.parametrize(
    ("architectures", "selector", "affinity"), [(("arm64",), ARM, None), (("amd64", "arm64"), None, BOTH)]
)
async def test_pods_stay_limited_to_nodes_while_the_image_is_absent(
    harness: OperatorHarness, architectures: tuple[str, ...], selector: Json | None, affinity: Json | None
) -> None:
    await serve(harness, *architectures)
    harness.cluster.remove(CUSTOM_RESOURCES["Image"], "default", "m")
    await harness.play()
    harness.change("Service", autoScaler=None, numReplicas=3)
    await harness.play()
    assert harness.cluster.at(DEPLOYMENTS, "m")["spec"]["replicas"] == 3
    assert (node_selector(harness), node_affinity(harness)) == (selector, affinity)


async def test_image_without_an_architecture_has_no_platforms(serving: OperatorHarness) -> None:
    assert "platforms" not in serving.status("Image")
