"""Adoption: objects with the labels of this API and without a controller belong to their object again."""

from __future__ import annotations

import copy
import random
from typing import Any, Final

import pytest
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import OperatorHarness, image, manifest, model, sample_objects, service

from modelyard.api.labels import MANAGED_BY
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.types import (
    AUTOSCALERS,
    CONFIG_MAPS,
    CORE_SERVICES,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    JOBS,
    REVISIONS,
    SECRETS,
    ApiResource,
    Json,
)
from modelyard.settings import OperatorSettings

KINDS: Final = ("Model", "Manifest", "Image", "Service")
CHILDREN: Final = (DEPLOYMENTS, CORE_SERVICES, SECRETS, AUTOSCALERS, DISRUPTION_BUDGETS)
SAVED: Final = (*CHILDREN, CONFIG_MAPS, REVISIONS, *CUSTOM_RESOURCES.values())
# Fields that Velero removes: https://velero.io/docs/main/restore-reference/
NOT_RESTORED: Final = {
    "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "ownerReferences",
}  # fmt: skip


def own(harness: OperatorHarness, resource: ApiResource) -> list[Json]:
    return [body for body in harness.cluster.all(resource) if body["metadata"]["namespace"] == "default"]


def owners(harness: OperatorHarness, resource: ApiResource) -> set[str]:
    """Return the UIDs of the owners of all objects of a resource, `-` for an object without one."""
    return {
        reference["uid"]
        for body in own(harness, resource)
        for reference in body["metadata"].get("ownerReferences") or [{"uid": "-"}]
    }


def uid(harness: OperatorHarness, kind: str) -> str:
    return str(harness.cluster.at(CUSTOM_RESOURCES[kind], "m")["metadata"]["uid"])


def ids(harness: OperatorHarness) -> list[tuple[str, str, str]]:
    return [harness.summary(kind) for kind in KINDS]


def contents(harness: OperatorHarness) -> dict[str, Any]:
    """Return the content of every version, the template, the keys and the served image."""
    return {
        "versions": {body["metadata"]["name"]: body["data"] for body in own(harness, REVISIONS)},
        "template": harness.cluster.at(DEPLOYMENTS, "m")["spec"]["template"],
        "keys": harness.cluster.at(SECRETS, "m-keys")["data"],
        "image": harness.status("Service")["imageLocation"],
    }


async def three_versions(harness: OperatorHarness) -> None:
    """Serve a third version of everything; the first version has the content of the third."""
    harness.apply(
        *sample_objects()[:3],
        service(autoScaler={"autoscaleEnabled": True, "minReplicas": 2, "maxReplicas": 3}),
    )
    await harness.play()
    for url in ("https://h/2", "https://h/1"):
        harness.change("Model", url=url)
        await harness.play()
    assert ids(harness)[3] == ("m:3", "Succeeded", "Serving")


def export(harness: OperatorHarness) -> list[tuple[ApiResource, Json]]:
    """Return the objects of the namespace as a backup restores them: without UIDs, owners and status."""
    saved = []
    for resource in SAVED:
        for body in own(harness, resource):
            kept = copy.deepcopy({key: value for key, value in body.items() if key != "status"})
            kept["metadata"] = {k: v for k, v in kept["metadata"].items() if k not in NOT_RESTORED}
            saved.append((resource, kept))
    return saved


async def restored(
    old: OperatorHarness,
    saved: list[tuple[ApiResource, Json]],
    *,
    running: bool,
    settings: OperatorSettings | None = None,
) -> OperatorHarness:
    """Return an operator in another cluster, after a restore in this order.

    Its registry has the images of the old one under the name of the settings' registry.
    """
    new = OperatorHarness(settings)
    registries = old.settings.registry.push, new.settings.registry.push
    new.registry.images = {name.replace(*registries): digest for name, digest in old.registry.images.items()}
    if running:
        await new.start()
    for resource, body in saved:
        new.cluster.put(resource, "default", body)
        if running:
            await new.settle()
    if not running:
        await new.start()
    await new.play()
    return new


def records_first(saved: list[tuple[ApiResource, Json]]) -> list[tuple[ApiResource, Json]]:
    """Return the order of Velero: by resource name, so versions before their objects."""
    return sorted(saved, key=lambda item: (item[0] in CUSTOM_RESOURCES.values(), item[0].qualified))


@pytest.mark.parametrize("resource", [*CHILDREN, REVISIONS], ids=lambda r: str(r.plural))
async def test_child_gets_its_stripped_owner_reference_back(
    harness: OperatorHarness, resource: ApiResource
) -> None:
    await three_versions(harness)
    before = contents(harness)
    for body in own(harness, resource):
        harness.cluster.orphan(resource, "default", body["metadata"]["name"])
    await harness.play()
    expected = {uid(harness, kind) for kind in (KINDS if resource == REVISIONS else ("Service",))}
    assert owners(harness, resource) == expected
    assert contents(harness) == before
    assert ids(harness)[3] == ("m:3", "Succeeded", "Serving")


@pytest.mark.parametrize("kinds", [("Service",), KINDS, tuple(reversed(KINDS))], ids=str)
async def test_object_created_again_after_an_orphaning_deletion_continues(
    harness: OperatorHarness, kinds: tuple[str, ...]
) -> None:
    await three_versions(harness)
    before, summaries, builds = contents(harness), ids(harness), harness.builds
    bodies = {kind: harness.cluster.at(CUSTOM_RESOURCES[kind], "m") for kind in kinds}
    deployment = harness.cluster.at(DEPLOYMENTS, "m")["metadata"]["uid"]
    for kind in kinds:
        harness.cluster.delete_orphaning(CUSTOM_RESOURCES[kind], "m")
        await harness.play(seconds=10)
    for body in bodies.values():
        kept = {key: value for key, value in body.items() if key != "status"}
        harness.apply(kept | {"metadata": {"name": "m"}})
        await harness.play(seconds=10)
    await harness.play()
    assert ids(harness) == summaries
    assert contents(harness) == before
    assert harness.builds == builds
    assert harness.cluster.at(DEPLOYMENTS, "m")["metadata"]["uid"] == deployment
    for resource in CHILDREN:
        assert owners(harness, resource) == {uid(harness, "Service")}
    assert owners(harness, REVISIONS) == {uid(harness, kind) for kind in KINDS}


async def test_object_being_deleted_adopts_nothing(harness: OperatorHarness) -> None:
    await three_versions(harness)
    await harness.kopf.stop()  # the watch of Services is late
    harness.cluster.delete_orphaning(CUSTOM_RESOURCES["Service"], "m", finish=False)
    await harness.play(seconds=10)
    for resource in CHILDREN:
        assert owners(harness, resource) == {"-"}


async def test_unwanted_autoscaler_without_owner_is_deleted(harness: OperatorHarness) -> None:
    await three_versions(harness)
    await harness.stop()
    harness.cluster.orphan(AUTOSCALERS, "default", "m")
    harness.change("Service", autoScaler=None, numReplicas=1)
    await harness.start()
    await harness.play()
    assert own(harness, AUTOSCALERS) == []
    assert ids(harness)[3][1:] == ("Succeeded", "Serving")


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": {}},
        {"labels": {MANAGED_BY: "modelyard"}},
        {"labels": {"modelyard.dev/service": "m"}},
        {"labels": {MANAGED_BY: "Helm", "modelyard.dev/service": "m"}},
        {"labels": {MANAGED_BY: "modelyard", "modelyard.dev/service": "other"}},
        {"labels": {MANAGED_BY: "modelyard", "modelyard.dev/image": "m"}},
        {
            "labels": {MANAGED_BY: "modelyard", "modelyard.dev/service": "m"},
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "X", "name": "x", "uid": "x", "controller": True}
            ],
        },
    ],
    ids=str,
)
async def test_object_of_another_owner_is_left_alone(harness: OperatorHarness, metadata: Json) -> None:
    harness.cluster.collects = False
    body = {"metadata": {"name": "m", **metadata}, "spec": {}}
    foreign = harness.cluster.put(CORE_SERVICES, "default", body)
    harness.apply(*sample_objects())
    await harness.play(seconds=60)
    assert harness.summary("Service") == ("m:1", "Failed", "NameTaken")
    message = harness.condition("Service", "Ready")["message"]
    assert "app.kubernetes.io/managed-by=modelyard,modelyard.dev/service=m" in message
    assert harness.cluster.at(CORE_SERVICES, "m") == foreign


async def test_adoption_is_tried_again_if_the_child_changes_in_between(harness: OperatorHarness) -> None:
    await three_versions(harness)
    changed = []

    def change(_: int, call: Call) -> None:
        if call == Call("get", DEPLOYMENTS.plural, "m") and not changed:
            changed.append(call)
            harness.cluster.change(
                DEPLOYMENTS, "default", "m", {"metadata": {"annotations": {"example.com/a": "b"}}}
            )

    harness.cluster.lost = change
    harness.cluster.orphan(DEPLOYMENTS, "default", "m")
    await harness.play()
    assert changed
    assert owners(harness, DEPLOYMENTS) == {uid(harness, "Service")}
    assert harness.cluster.at(DEPLOYMENTS, "m")["metadata"]["annotations"]["example.com/a"] == "b"


async def test_version_without_valid_data_is_not_adopted(harness: OperatorHarness) -> None:
    labels = {MANAGED_BY: "modelyard", "modelyard.dev/model": "m"}
    body = {"metadata": {"name": "model-m-1", "labels": labels}, "revision": 1, "data": {"x": 1}}
    harness.cluster.put(REVISIONS, "default", body)
    harness.apply(model())
    await harness.play(seconds=60)
    assert harness.summary("Model") == ("", "Failed", "NameTaken")
    assert owners(harness, REVISIONS) == {"-"}


async def test_adoption_takes_no_call_without_adoptable_objects(harness: OperatorHarness) -> None:
    harness.apply(*sample_objects())
    await harness.play()
    assert not [call for call in harness.cluster.calls if call.verb == "get" and call.resource in {
        resource.plural for resource in CUSTOM_RESOURCES.values()
    }]  # fmt: skip


def check_restored(old: OperatorHarness, new: OperatorHarness) -> None:
    assert ids(new) == ids(old)
    assert contents(new) == contents(old)
    assert new.builds == 0
    for resource in CHILDREN:
        assert owners(new, resource) == {uid(new, "Service")}
    assert owners(new, CONFIG_MAPS) == {uid(new, "Image")}
    assert owners(new, REVISIONS) == {uid(new, kind) for kind in KINDS}


async def test_restored_namespace_continues_with_its_versions(harness: OperatorHarness) -> None:
    await three_versions(harness)
    new = await restored(harness, records_first(export(harness)), running=True)
    check_restored(harness, new)
    await new.stop()


@pytest.mark.parametrize("seed", range(5))
async def test_restore_in_any_order_while_the_operator_is_stopped(
    harness: OperatorHarness, seed: int
) -> None:
    await three_versions(harness)
    saved = export(harness)
    random.Random(seed).shuffle(saved)
    new = await restored(harness, saved, running=False)
    check_restored(harness, new)
    await new.stop()


@pytest.mark.parametrize("seed", range(10))
async def test_restored_versions_may_be_reported_later_than_their_object(
    harness: OperatorHarness, seed: int
) -> None:
    await three_versions(harness)
    new = OperatorHarness(schedule=random.Random(seed))
    new.registry.images = harness.registry.images
    await new.start()
    for resource, body in records_first(export(harness)):
        new.cluster.put(resource, "default", body)
    await new.play()
    check_restored(harness, new)
    await new.stop()


async def test_service_with_a_pinned_image_serves_it_after_a_restore(harness: OperatorHarness) -> None:
    await three_versions(harness)
    harness.change("Service", imageId="m:2")
    await harness.play()
    new = await restored(harness, records_first(export(harness)), running=True)
    check_restored(harness, new)
    assert new.status("Service")["imageId"] == "m:2"
    await new.stop()


async def test_pods_that_were_kept_go_on_serving_after_a_restore(harness: OperatorHarness) -> None:
    await three_versions(harness)
    await harness.stop()
    template, keys = contents(harness)["template"], contents(harness)["keys"]
    harness.cluster.collects = False
    for kind in KINDS:
        harness.cluster.delete_orphaning(CUSTOM_RESOURCES[kind], "m")
    for body in (model(), manifest(), image()):
        harness.apply(body)
    harness.apply(service(autoScaler={"autoscaleEnabled": True, "minReplicas": 2, "maxReplicas": 3}))
    versions = len(harness.cluster.history)
    await harness.start()
    await harness.play()
    deployments = [e.body for e in harness.cluster.history[versions:] if e.resource == DEPLOYMENTS]
    assert deployments
    assert all(body["spec"]["template"] == template for body in deployments)
    assert harness.cluster.at(SECRETS, "m-keys")["data"] == keys
    assert not own(harness, JOBS)
