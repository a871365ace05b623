"""From `kubectl apply` in any order to an endpoint, and the effect of a change on dependents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import httpx
from tests.support.cluster import Json, Kubectl, eventually
from tests.support.objects import MODEL_DRIVER, image, manifest, model, service
from tests.support.operator import build_jobs
from tests.support.status import (
    condition,
    events,
    history,
    location,
    operation,
    status,
    versions,
    wait_for_status,
)

Score = Callable[..., httpx.Response]
STATE: Final = "{.status.id} {.status.state}"


def parts(answer: str) -> list[Json]:
    """All four, in the order in which one needs the other."""
    return [
        model("echo", f"data:,{answer}"),
        manifest("echo", MODEL_DRIVER, "echo"),
        image("echo"),
        service("echo", "echo"),
    ]


def test_objects_applied_in_reversed_order_become_ready(kubectl: Kubectl, score: Score) -> None:
    with (
        history(kubectl, "img", "echo", STATE) as images,
        history(kubectl, "msvc", "echo", STATE) as services,
    ):
        kubectl.apply(*reversed(parts("hello")))
        kubectl("wait", "msvc/echo", "--for=condition=Ready", "--timeout=180s", timeout=190)
        for states in (images, services):
            eventually(lambda told=states: told[-1:] == ["echo:1 Succeeded"], 60, "the last state")
    assert score(kubectl, "echo").json() == "hello"
    assert "echo:1 Running" in images
    for kind in ("model", "manifest", "image", "service"):
        assert versions(kubectl, kind, "echo") == [1]
    assert len(build_jobs(kubectl.namespace, "echo")) == 1


def test_status_names_the_missing_reference(kubectl: Kubectl) -> None:
    model_, manifest_, image_, service_ = parts("late")
    waits = [
        (service_, "msvc", "ImageNotFound", "Image echo"),
        (image_, "img", "ManifestNotFound", "Manifest echo"),
        (manifest_, "mft", "ModelNotFound", "Model echo"),
    ]
    for object_, kind, reason, missing in waits:
        kubectl.apply(object_)
        told = wait_for_status(
            kubectl, kind, "echo", 60, state="NotStarted", also=lambda told: "conditions" in told
        )
        ready = condition(told, "Ready")
        assert (ready["status"], ready["reason"]) == ("False", reason)
        assert missing in ready["message"]
    kubectl.apply(model_)
    kubectl("wait", "msvc/echo", "--for=condition=Ready", "--timeout=180s", timeout=190)
    for kind in ("mdl", "mft", "img", "msvc"):
        wait_for_status(kubectl, kind, "echo", 1, state="Succeeded", id="echo:1")


def test_new_model_rolls_out_and_its_revert_builds_nothing(kubectl: Kubectl, score: Score) -> None:
    pinned = image("pinned") | {"spec": {"manifestId": "echo:1", "imageType": "Docker"}}
    fixed = service("pinned", "echo:1")
    kubectl.apply(*parts("1"), pinned, fixed)
    wait_for_status(kubectl, "msvc", "echo", 120, state="Succeeded")
    wait_for_status(kubectl, "msvc", "pinned", 120, state="Succeeded")

    kubectl.patch("mdl", "echo", {"spec": {"url": "data:,2"}})
    told = wait_for_status(kubectl, "msvc", "echo", 120, state="Succeeded", version=2)
    assert (told["modelIds"], told["manifestId"], told["imageId"]) == (["echo:2"], "echo:2", "echo:2")
    assert score(kubectl, "echo").json() == "2"
    assert location(kubectl, "echo", 1) != location(kubectl, "echo", 2)

    kubectl.patch("mdl", "echo", {"spec": {"url": "data:,1"}})
    told = wait_for_status(kubectl, "msvc", "echo", 120, state="Succeeded", version=3)
    assert told["imageLocation"] == location(kubectl, "echo", 1) == location(kubectl, "echo", 3)
    assert score(kubectl, "echo").json() == "1"
    built = [
        job["metadata"]["annotations"]["modelyard.dev/version"]
        for job in build_jobs(kubectl.namespace, "echo")
    ]
    assert set(built) <= {"1", "2"}

    for kind in ("img", "msvc"):  # name:version stays
        assert status(kubectl, kind, "pinned")["id"] == "pinned:1"
    assert status(kubectl, "msvc", "pinned")["imageLocation"] == location(kubectl, "echo", 1)
    assert score(kubectl, "pinned").json() == "1"


def test_registration_annotation_makes_a_version_of_the_same_content(kubectl: Kubectl) -> None:
    kubectl.apply(model("echo", "data:,1"))
    wait_for_status(kubectl, "mdl", "echo", 60, state="Succeeded", id="echo:1")
    kubectl("annotate", "mdl", "echo", "modelyard.dev/registration=again")
    wait_for_status(kubectl, "mdl", "echo", 60, state="Succeeded", id="echo:2")
    kubectl.patch("mdl", "echo", {"spec": {"description": "no part of a version", "tags": ["nor", "this"]}})
    wait_for_status(
        kubectl, "mdl", "echo", 60, observedGeneration=kubectl.get("mdl", "echo")["metadata"]["generation"]
    )
    assert versions(kubectl, "model", "echo") == [1, 2]


def test_each_change_of_state_is_one_event(kubectl: Kubectl) -> None:
    kubectl.apply(*parts("1"))
    wait_for_status(kubectl, "msvc", "echo", 120, state="Succeeded", version=1)
    kubectl.patch("mdl", "echo", {"spec": {"url": "data:,2"}})
    wait_for_status(kubectl, "msvc", "echo", 120, state="Succeeded", version=2)
    assert operation(kubectl, "service", "echo", 1) == "Succeeded"
    assert {kind: events(kubectl, kind, "echo") for kind in ("Model", "Manifest", "Image", "Service")} == {
        "Model": ["Registered"] * 2,
        "Manifest": ["Created"] * 2,
        "Image": ["Building", "Built"] * 2,
        "Service": ["Serving"] * 2,
    }
