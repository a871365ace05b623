"""The data of ControllerRevisions: immutable byte by byte, with any text, of this and of earlier releases."""

from __future__ import annotations

import copy
import re

import orjson
import pytest
from tests.support.texts import TEXTS
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import OperatorHarness, image, manifest, model, service

from modelyard.api.names import REGISTRATION
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.types import REVISIONS, Json

KINDS = ("Model", "Manifest", "Image", "Service")


def objects(text: str) -> list[Json]:
    """Return one object of each kind with a text in each field that takes one."""
    driver = {"id": "driver", "content": f"# {text}\ndef run(body): return body"}
    made = [
        model(url="https://h/1?a=<1>&b"),
        manifest(assets=[driver]),
        image(),
        service(),
    ]
    for body in made:
        body["spec"]["name"] = re.sub(r"[\x00-\x1f\x7f/]", "", text)  # a file name in the image
        body["metadata"]["annotations"] = {REGISTRATION: text}
    return made


def summaries(harness: OperatorHarness) -> list[str]:
    return [harness.summary(kind)[1] for kind in KINDS]


def make_legacy(harness: OperatorHarness) -> None:
    """Create all ControllerRevisions again in the form of release 0.2.0: unsorted keys, no escapes."""
    for body in harness.cluster.all(REVISIONS):
        data = dict(reversed(body["data"].items()))
        harness.cluster.write_legacy_data(copy.deepcopy(body) | {"data": data})


async def change_everything(harness: OperatorHarness) -> None:
    for kind in KINDS:
        harness.change(kind, description="<b>&</b>", tags=["a<b"])
    await harness.play()
    harness.change("Model", url="https://h/2?a&b")
    await harness.play()
    harness.change("Service", numReplicas=2, autoScaler={"autoscaleEnabled": False})
    await harness.play()


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_text_of_any_form_passes_every_change_of_state(harness: OperatorHarness, text: str) -> None:
    harness.apply(*objects(text))
    await harness.play()
    assert summaries(harness) == ["Succeeded"] * 4
    await change_everything(harness)
    assert summaries(harness) == ["Succeeded"] * 4
    assert harness.summary("Service")[0] == "m:3"
    for body in harness.cluster.all(REVISIONS):
        harness.cluster.orphan(REVISIONS, "default", body["metadata"]["name"])


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_revision_of_an_earlier_release_can_be_annotated(harness: OperatorHarness, text: str) -> None:
    harness.apply(*objects(text))
    await harness.play()
    make_legacy(harness)
    await change_everything(harness)
    assert summaries(harness) == ["Succeeded"] * 4
    assert harness.summary("Service")[0] == "m:3"
    assert harness.revision_annotations("Service", 1)["state"] == "Succeeded"


async def test_orphaning_deletion_ends_with_revisions_of_an_earlier_release(harness: OperatorHarness) -> None:
    harness.apply(*objects("a<b"))
    await harness.play()
    make_legacy(harness)
    data = {body["metadata"]["name"]: body["data"] for body in harness.cluster.all(REVISIONS)}
    for kind in reversed(KINDS):
        assert not harness.cluster.delete_orphaning(CUSTOM_RESOURCES[kind], "m")
        await harness.play()
        assert harness.cluster.delete_orphaning(CUSTOM_RESOURCES[kind], "m")
        await harness.play()
    assert {body["metadata"]["name"]: body["data"] for body in harness.cluster.all(REVISIONS)} == data
    assert all(not body["metadata"].get("ownerReferences") for body in harness.cluster.all(REVISIONS))


async def test_annotation_of_an_earlier_revision_takes_three_calls(harness: OperatorHarness) -> None:
    harness.apply(*objects("a<b")[:1])
    await harness.play()
    make_legacy(harness)
    harness.cluster.calls.clear()
    harness.change("Model", description="new")
    await harness.play()
    revision = [call for call in harness.cluster.calls if call.resource == REVISIONS.plural]
    assert revision == [Call(verb, REVISIONS.plural, "model-m-1") for verb in ("patch", "get", "update")]


async def test_replacement_of_a_revision_that_changed_is_tried_again(harness: OperatorHarness) -> None:
    harness.apply(*objects("a<b")[:1])
    await harness.play()
    make_legacy(harness)
    lost = []

    def touch(_: int, call: Call) -> None:
        if call.verb == "get" and call.resource == REVISIONS.plural and not lost:
            lost.append(call)
            live = copy.deepcopy(harness.cluster.at(REVISIONS, call.name))
            live["metadata"]["annotations"]["example.com/by"] = "another client"
            harness.cluster.replace(REVISIONS, "default", call.name, live, orjson.dumps)

    harness.cluster.lost = touch
    harness.change("Model", description="new")
    await harness.play()
    annotations = harness.cluster.at(REVISIONS, "model-m-1")["metadata"]["annotations"]
    assert lost
    assert annotations["example.com/by"] == "another client"
    assert annotations["modelyard.dev/about"] == '{"description":"new"}'
