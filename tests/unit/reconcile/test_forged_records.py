"""ControllerRevisions that another client wrote: invalid ones are named in a condition and never used."""

from __future__ import annotations

import random
from typing import Any, Final

import pytest
from tests.unit.operator_harness import OperatorHarness, image, manifest, model, service

from modelyard.api.labels import labels_of, revision_name
from modelyard.api.owners import Owner, owner_reference
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.types import CONFIG_MAPS, REVISIONS, SECRETS, Json
from modelyard.metrics import RECONCILE_ERRORS

ELSEWHERE: Final = "../../kube-system/secrets/admin-token"
MODEL: Final = {"url": "https://evil/", "mimeType": "x"}
MANIFEST: Final = {
    "driverProgram": "driver",
    "assets": [{"id": "driver", "url": "https://evil/", "secretRef": {"name": ELSEWHERE}}],
    "targetRuntime": {"runtimeType": "Python", "properties": {}},
}


def forge(
    harness: OperatorHarness, kind: str, version: int, data: Any, annotations: Json | None = None
) -> None:
    """Create a version of the object `m` as a user with rights on ControllerRevisions does."""
    uid = harness.cluster.at(CUSTOM_RESOURCES[kind], "m")["metadata"]["uid"]
    metadata = {
        "name": revision_name(kind, "m", version),
        "labels": labels_of(kind, "m"),
        "annotations": annotations or {},
        "ownerReferences": [owner_reference(Owner(kind, "m", uid))],
    }
    body = {**REVISIONS.header(), "metadata": metadata, "revision": version, "data": data}
    harness.cluster.put(REVISIONS, "default", body)


def errors() -> float:
    samples = [sample for metric in RECONCILE_ERRORS.collect() for sample in metric.samples]
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))


def reads(harness: OperatorHarness, plural: str) -> list[str]:
    return [call.name for call in harness.cluster.calls if call.verb == "get" and call.resource == plural]


def foreign_secrets(harness: OperatorHarness) -> list[str]:
    """Return the names of Secrets that were read, without those that the operator itself creates."""
    names = reads(harness, SECRETS.plural)
    return [name for name in names if name != "m-keys" and not name.startswith("build-")]


@pytest.mark.parametrize(
    "data",
    [
        MODEL | {"secretRef": {"name": ELSEWHERE}},
        MODEL | {"secretRef": {"name": "%2e%2e/%2e%2e/kube-system/secrets/x"}},
        MODEL | {"secretRef": {"name": "x?labelSelector=a"}},
        MODEL | {"secretRef": "x"},
        {"url": 5},
        {},
    ],
    ids=["path", "quoted path", "query", "text", "wrong type", "empty"],
)
async def test_forged_model_is_named_and_its_secret_is_never_read(
    harness: OperatorHarness, data: Json
) -> None:
    before = errors()
    harness.apply(model())
    await harness.play()
    forge(harness, "Model", 2, data)
    harness.apply(manifest(modelIds=["m:2"]), image(), service())
    await harness.play()
    assert harness.summary("Manifest") == ("", "NotStarted", "VersionInvalid")
    message = harness.condition("Manifest", "Ready")["message"]
    assert "ControllerRevision model-m-2" in message
    assert "Delete this ControllerRevision" in message
    assert not foreign_secrets(harness)
    assert harness.builds == 0
    assert errors() == before


async def test_model_goes_on_after_a_forged_version(harness: OperatorHarness) -> None:
    harness.apply(model(), manifest(), image())
    await harness.play()
    forge(harness, "Model", 2, MODEL | {"secretRef": {"name": ELSEWHERE}})
    await harness.play()
    assert harness.summary("Model") == ("m:3", "Succeeded", "Registered")
    assert harness.summary("Image")[1] == "Succeeded"
    assert not foreign_secrets(harness)


async def test_deletion_of_a_forged_version_clears_the_condition(harness: OperatorHarness) -> None:
    harness.apply(model())
    await harness.play()
    forge(harness, "Model", 2, {})
    harness.apply(manifest(modelIds=["m:2"]))
    await harness.play()
    harness.cluster.remove(REVISIONS, "default", "model-m-2")
    harness.change("Manifest", modelIds=["m:3"])
    await harness.play()
    assert harness.summary("Manifest") == ("m:1", "Succeeded", "Created")


async def test_image_names_a_forged_manifest(harness: OperatorHarness) -> None:
    harness.apply(model(), manifest())
    await harness.play()
    forge(harness, "Manifest", 2, MANIFEST)
    harness.apply(image(manifestId="m:2"))
    await harness.play()
    assert harness.summary("Image") == ("", "NotStarted", "VersionInvalid")
    assert "manifest-m-2" in harness.condition("Image", "Ready")["message"]
    assert not foreign_secrets(harness)


async def test_service_names_a_forged_image(serving: OperatorHarness) -> None:
    location = f"evil/m@sha256:{'a' * 64}"
    annotations = {"modelyard.dev/state": "Succeeded", "modelyard.dev/image-location": location}
    forge(serving, "Image", 2, {"manifestId": 5}, annotations)
    await serving.play()
    assert serving.summary("Service")[1:] == ("Succeeded", "Serving")
    serving.change("Service", imageId="m:2")
    await serving.play()
    assert serving.summary("Service")[1:] == ("NotStarted", "VersionInvalid")
    assert serving.status("Service")["imageLocation"] != location


async def test_forged_annotations_are_repaired(serving: OperatorHarness) -> None:
    before = errors()
    await serving.stop()
    for kind in ("Model", "Manifest", "Image", "Service"):
        forged = dict.fromkeys(
            ("state", "ended", "error", "attempts", "counted-attempts", "image-location", "about"), "{x"
        ) | {"build-log": "../../kube-system/configmaps/x"}
        patch = {f"modelyard.dev/{key}": value for key, value in forged.items()}
        serving.cluster.change(
            REVISIONS, "default", revision_name(kind, "m", 1), {"metadata": {"annotations": patch}}
        )
    serving.cluster.calls.clear()
    await serving.start()
    await serving.play()
    assert serving.summary("Image")[1:] == ("Succeeded", "Built")
    assert serving.summary("Service")[1:] == ("Succeeded", "Serving")
    assert not [name for name in reads(serving, CONFIG_MAPS.plural) if "/" in name]
    assert errors() == before


VALUES: Final = (
    None,
    True,
    -1,
    2**63,
    1e300,
    "",
    "x",
    "../x",
    "m:1",
    "m:0",
    "é",
    [],
    ["m:1"],
    [[]],
    {},
    {"name": "../x"},
)


def _mutated(choice: random.Random, data: Any) -> Any:
    """Return JSON with one random place replaced, removed or added."""
    if isinstance(data, dict) and data and choice.random() < 0.8:
        key = choice.choice(sorted(data))
        copy = dict(data)
        if choice.random() < 0.15:
            del copy[key]
        else:
            copy[key] = _mutated(choice, data[key])
        return copy
    if isinstance(data, list) and data and choice.random() < 0.8:
        index = choice.randrange(len(data))
        return [*data[:index], _mutated(choice, data[index]), *data[index + 1 :]]
    return choice.choice(VALUES)


@pytest.mark.parametrize("seed", range(12))
async def test_random_records_crash_nothing_and_read_no_secret(harness: OperatorHarness, seed: int) -> None:
    """Each round forges the next version of each kind, and pins the followers to it."""
    before, choice = errors(), random.Random(seed)
    harness.apply(model(), manifest(), image(), service())
    await harness.play()
    for _ in range(4):
        for kind in ("Model", "Manifest", "Image", "Service"):
            recorded = [
                body for body in harness.cluster.all(REVISIONS)
                if body["metadata"]["ownerReferences"][0]["kind"] == kind
            ]  # fmt: skip
            newest = max(recorded, key=lambda body: int(body["revision"]))
            annotations = {
                key: str(choice.choice([value, *VALUES]))
                for key, value in newest["metadata"]["annotations"].items()
            }
            data = _mutated(choice, newest["data"])
            forge(harness, kind, newest["revision"] + 1, data if isinstance(data, dict) else {}, annotations)
        await harness.play()
    assert not foreign_secrets(harness)
    assert errors() == before
