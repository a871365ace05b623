"""Children of a Service: created, patched, left alone if they belong to another owner."""

from __future__ import annotations

import pytest
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import (
    OperatorHarness,
    sample_objects,
    service,
)
from tests.unit.reconcile.test_service import exists

from modelyard.api import labels
from modelyard.api.crd import UNOBSERVED_STATUS
from modelyard.api.owners import Owner
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.api.service import ServiceSpec
from modelyard.kube.types import (
    CORE_SERVICES,
    DEPLOYMENTS,
    PODS,
    SECRETS,
    ApiResource,
    Json,
    Key,
)
from modelyard.resources import serving as service_children
from modelyard.resources.pod_template import ScoringImage
from modelyard.settings import DataCollectionSettings, ScoringSettings


async def reconcile_again(harness: OperatorHarness) -> None:
    """Reconcile the Service without a change."""
    harness.queue.add(Key("Service", "default", "m"))
    await harness.settle()


@pytest.mark.parametrize("resource", [DEPLOYMENTS, CORE_SERVICES, SECRETS], ids=lambda r: str(r.plural))
async def test_deleted_child_is_created_again(serving: OperatorHarness, resource: ApiResource) -> None:
    name = "m-keys" if resource == SECRETS else "m"
    serving.cluster.remove(resource, "default", name)
    await serving.play()
    assert exists(serving, resource, name)
    assert serving.summary("Service") == ("m:1", "Succeeded", "Serving")


async def test_children_are_built_only_after_a_change_of_their_inputs(
    serving: OperatorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []
    build = service_children.deployment

    def deployment(
        owner: Owner,
        spec: ServiceSpec,
        image: ScoringImage,
        scoring: ScoringSettings,
        collection: DataCollectionSettings | None,
    ) -> Json:
        built.append(image.location)
        return build(owner, spec, image, scoring, collection)

    monkeypatch.setattr(service_children, "deployment", deployment)
    first = serving.status("Service")["imageLocation"]
    await reconcile_again(serving)
    assert built == []
    serving.change("Model", url="https://h/2")
    await serving.play()
    second = serving.status("Service")["imageLocation"]
    assert built == [second]
    serving.change("Service", imageId="m:1")
    await serving.play()
    assert built == [second, first]
    serving.cluster.remove(DEPLOYMENTS, "default", "m")
    await serving.play()
    assert built == [second, first, first]


async def test_change_of_a_child_by_another_client_is_reverted(serving: OperatorHarness) -> None:
    spec = {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}
    serving.cluster.change(DEPLOYMENTS, "default", "m", {"spec": spec})
    serving.cluster.change(CORE_SERVICES, "default", "m", {"spec": {"type": "NodePort"}})
    await serving.play()
    assert (
        serving.cluster.at(DEPLOYMENTS, "m")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > 1
    )
    assert serving.cluster.at(CORE_SERVICES, "m")["spec"]["type"] == "ClusterIP"


@pytest.mark.parametrize("resource", [DEPLOYMENTS, CORE_SERVICES, SECRETS], ids=lambda r: str(r.plural))
async def test_taken_name_fails_the_service_until_it_is_free(
    harness: OperatorHarness, resource: ApiResource
) -> None:
    name = "m-keys" if resource == SECRETS else "m"
    foreign = harness.cluster.put(resource, "default", {"metadata": {"name": name}, "spec": {}})
    harness.apply(*sample_objects())
    await harness.play(seconds=60)
    assert harness.summary("Service") == ("m:1", "Failed", "NameTaken")
    assert f"{resource.kind} {name}" in harness.condition("Service", "Ready")["message"]
    assert harness.cluster.at(resource, name) == foreign
    harness.cluster.remove(resource, "default", name)
    await harness.play(seconds=60)
    assert harness.summary("Service") == ("m:1", "Succeeded", "Serving")


async def test_service_waits_for_the_children_of_a_deleted_service(serving: OperatorHarness) -> None:
    serving.cluster.collects = False
    serving.cluster.remove(CUSTOM_RESOURCES["Service"], "default", "m")
    serving.apply(service())
    await serving.play(seconds=20)
    uid = serving.cluster.at(CUSTOM_RESOURCES["Service"], "m")["metadata"]["uid"]
    assert serving.status("Service") == UNOBSERVED_STATUS
    serving.cluster.collects = True
    serving.cluster.remove(PODS, "default", "none")
    await serving.play()
    assert serving.summary("Service") == ("m:1", "Succeeded", "Serving")
    assert serving.cluster.at(DEPLOYMENTS, "m")["metadata"]["ownerReferences"][0]["uid"] == uid


async def test_edit_between_read_and_patch_of_a_child_is_reverted(serving: OperatorHarness) -> None:
    edited = []

    def edit(_: int, call: Call) -> None:
        if call.verb == "patch" and call.resource == DEPLOYMENTS.plural and not edited:
            edited.append(call)
            set_revision_history_limit(serving, 77)

    serving.cluster.fault = edit
    serving.change("Service", numReplicas=3, autoScaler=None)
    await serving.play()
    spec = serving.cluster.at(DEPLOYMENTS, "m")["spec"]
    assert edited
    assert (spec["replicas"], spec["revisionHistoryLimit"]) == (3, 2)


async def test_child_that_changes_before_each_patch_is_patched_three_times_then_queued(
    serving: OperatorHarness, caplog: pytest.LogCaptureFixture
) -> None:
    patches = []

    def edit(_: int, call: Call) -> None:
        if call.verb == "patch" and call.resource == DEPLOYMENTS.plural:
            patches.append(call)
            if len(patches) > 3:
                return
            limit = serving.cluster.at(DEPLOYMENTS, "m")["spec"]["revisionHistoryLimit"]
            set_revision_history_limit(serving, limit + 1)

    serving.cluster.fault = edit
    serving.change("Service", numReplicas=3, autoScaler=None)
    await serving.play()
    assert len(patches) == 4
    assert caplog.text.count("retrying in 0.2 s") == 1
    assert serving.cluster.at(DEPLOYMENTS, "m")["spec"]["revisionHistoryLimit"] == 2


async def test_key_that_a_user_adds_before_the_patch_stays(serving: OperatorHarness) -> None:
    added = []

    def add(_: int, call: Call) -> None:
        if call.verb == "patch" and call.resource == SECRETS.plural and not added:
            added.append(call)
            serving.cluster.change(SECRETS, "default", "m-keys", {"data": {"primaryKey": "dXNlcg=="}})

    serving.cluster.fault = add
    serving.cluster.change(SECRETS, "default", "m-keys", {"data": {"primaryKey": None}})
    await serving.play()
    assert added
    assert serving.cluster.at(SECRETS, "m-keys")["data"]["primaryKey"] == "dXNlcg=="


async def test_paused_deployment_is_resumed(serving: OperatorHarness) -> None:
    serving.cluster.change(DEPLOYMENTS, "default", "m", {"spec": {"paused": True}})
    await serving.play()
    assert "paused" not in serving.cluster.at(DEPLOYMENTS, "m")["spec"]
    before = len(serving.cluster.writes)
    await reconcile_again(serving)
    assert serving.cluster.writes[before:] == []


async def test_recreated_deployment_with_the_applied_hash_is_compared(serving: OperatorHarness) -> None:
    """`kubectl replace --force` of an edited Deployment keeps the annotation with the hash."""
    body = serving.cluster.at(DEPLOYMENTS, "m")
    assert body["metadata"]["annotations"][labels.APPLIED_HASH]
    edited = {
        **body,
        "metadata": {key: body["metadata"][key] for key in METADATA_OF_USERS},
        "spec": body["spec"] | {"revisionHistoryLimit": 77},
    }
    del serving.cluster.objects[DEPLOYMENTS, "default", "m"]
    serving.cluster.put(DEPLOYMENTS, "default", edited)
    await serving.play()
    assert serving.cluster.at(DEPLOYMENTS, "m")["spec"]["revisionHistoryLimit"] == 2


METADATA_OF_USERS = ("name", "labels", "annotations", "ownerReferences")


def set_revision_history_limit(harness: OperatorHarness, limit: int) -> None:
    harness.cluster.change(DEPLOYMENTS, "default", "m", {"spec": {"revisionHistoryLimit": limit}})


def edit(harness: OperatorHarness) -> None:
    """Change a field of the core Service, as another controller does that insists on its value."""
    harness.cluster.change(CORE_SERVICES, "default", "m", {"spec": {"type": "NodePort"}})


def repairs(harness: OperatorHarness) -> int:
    patches = [e for e in harness.cluster.history if e.resource == CORE_SERVICES and e.type == "MODIFIED"]
    return sum(e.body["spec"].get("type") == "ClusterIP" for e in patches)


async def test_child_that_another_client_changes_again_and_again_is_repaired_ever_less_often(
    serving: OperatorHarness,
) -> None:
    for _ in range(120):
        edit(serving)
        await serving.play(seconds=0)
        serving.clock.move(1)
    assert 5 <= repairs(serving) <= 12
    assert serving.events("ChildContested") == 1


async def test_contested_child_is_repaired_in_the_end(serving: OperatorHarness) -> None:
    for _ in range(8):
        edit(serving)
        await serving.play(seconds=0)
    await serving.play(seconds=600)
    assert serving.cluster.at(CORE_SERVICES, "m")["spec"]["type"] == "ClusterIP"


async def test_log_names_the_child_and_the_client_of_a_reverted_change(
    serving: OperatorHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    managers = [
        {"manager": "modelyard", "time": "2026-01-01T00:00:00Z"},
        {"manager": "mesh", "time": "2026-01-02T00:00:00Z"},
        {"manager": "kube-controller-manager", "subresource": "status", "time": "2026-01-03T00:00:00Z"},
    ]
    edited = {"metadata": {"managedFields": managers}, "spec": {"type": "NodePort"}}
    serving.cluster.change(CORE_SERVICES, "default", "m", edited)
    await serving.play()
    assert "Service default/m: reverted a change of Service m by mesh" in caplog.text
