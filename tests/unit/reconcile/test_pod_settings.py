"""Services with `spec.pod`: versions, rolls, and settings that the platform does not allow."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from tests.unit.operator_harness import OperatorHarness, sample_objects, service

from modelyard.api.pod.settings import PodSettings
from modelyard.kube.types import DEPLOYMENTS, Json
from modelyard.reconcile.services.pod_policy import policy_problem
from modelyard.settings import OperatorSettings, PodPolicySettings, ScoringSettings

ENV = [{"name": "A", "value": "1"}]


def pod(harness: OperatorHarness) -> Json:
    found: Json = harness.cluster.at(DEPLOYMENTS, "m")["spec"]["template"]["spec"]
    return found


def variables(harness: OperatorHarness) -> set[str]:
    return {variable["name"] for variable in pod(harness)["containers"][0]["env"]}


async def test_changed_settings_are_a_new_version_and_roll(serving: OperatorHarness) -> None:
    serving.change("Service", pod={"env": ENV})
    await serving.settle()
    assert serving.summary("Service") == ("m:2", "Running", "RollingOut")
    assert "A" in variables(serving)
    await serving.play()
    assert serving.summary("Service") == ("m:2", "Succeeded", "Serving")


async def test_removed_settings_are_removed_from_the_deployment(serving: OperatorHarness) -> None:
    before = pod(serving)
    settings = {
        "env": ENV,
        "envFrom": [{"secretRef": {"name": "s"}}],
        "nodeSelector": {"pool": "gpu", "zone": "a"},
        "affinity": {"nodeAffinity": {}},
        "labels": {"team": "a"},
        "annotations": {"note": "b"},
        "priorityClassName": None,
        "resources": {"limits": {"memory": "1Gi"}},
        "securityContext": {"supplementalGroups": [5]},
    }
    serving.change("Service", pod=settings)
    await serving.play()
    serving.change("Service", pod={"nodeSelector": {"zone": None}, "envFrom": None})
    await serving.play()
    assert pod(serving)["nodeSelector"] == {"pool": "gpu"}
    assert "envFrom" not in pod(serving)["containers"][0]
    serving.change("Service", pod=None)
    await serving.play()
    template = serving.cluster.at(DEPLOYMENTS, "m")["spec"]["template"]
    assert pod(serving) == before
    assert "team" not in template["metadata"]["labels"]
    assert "note" not in template["metadata"]["annotations"]


async def test_serving_service_with_settings_writes_nothing(serving: OperatorHarness) -> None:
    serving.change("Service", pod={"env": ENV, "nodeSelector": {"pool": "gpu"}})
    await serving.play()
    await serving.stop()
    before = len([call for call in serving.cluster.calls if call.verb in {"create", "patch", "delete"}])
    await serving.start()
    await serving.play()
    after = len([call for call in serving.cluster.calls if call.verb in {"create", "patch", "delete"}])
    assert after == before


POLICY = PodPolicySettings(
    denied_fields=(
        "volumes.persistentVolumeClaim",
        "resources.limits.example.com/fpga",
        "env.valueFrom.fieldRef",
    ),
    priority_class_names=("serving", "batch"),
    service_account_names=(),
)
PLATFORM = OperatorSettings(scoring=ScoringSettings(pod=POLICY))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"priorityClassName": "high"},
            "spec.pod.priorityClassName must not be high: the platform allows serving, batch",
        ),
        (
            {"runtimeClassName": "runc"},
            "spec.pod.runtimeClassName must not be runc: the platform allows none",
        ),
        ({"serviceAccountName": "ci"}, "allows none (scoring.pod.serviceAccountNames)"),
        (
            {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c", "readOnly": True}}]},
            "spec.pod.volumes.persistentVolumeClaim must not be set",
        ),
        ({"resources": {"limits": {"example.com/fpga": 1}}}, "spec.pod.resources.limits.example.com/fpga"),
        (
            {"env": [*ENV, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]},
            "spec.pod.env.valueFrom.fieldRef must not be set",
        ),
    ],
)
def test_setting_that_the_platform_denies_is_named(settings: dict[str, Any], words: str) -> None:
    assert words in policy_problem(PodSettings.model_validate(settings), PLATFORM)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"env": ENV, "resources": {"limits": {"memory": "1Gi"}}},
        {"priorityClassName": "batch"},
        {"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}]},
    ],
)
def test_other_settings_are_allowed(settings: dict[str, Any]) -> None:
    assert policy_problem(PodSettings.model_validate(settings), PLATFORM) == ""
    assert policy_problem(None, PLATFORM) == ""


_DESTINATION = "modelyard-data-collection"


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"envFrom": [{"secretRef": {"name": _DESTINATION}}]}, "envFrom.secretRef"),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": _DESTINATION, "key": "k"}}}]},
            "env.valueFrom.secretKeyRef",
        ),
        ({"volumes": [{"name": "v", "secret": {"secretName": _DESTINATION}}]}, "volumes.secret"),
        (
            {"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": _DESTINATION}}]}}]},
            "volumes.projected.sources.secret",
        ),
    ],
)
def test_driver_must_not_read_the_destination_of_data_collection(
    settings: dict[str, Any], field: str
) -> None:
    pod = PodSettings.model_validate(settings)
    words = f"spec.pod.{field} must not read the Secret {_DESTINATION}"
    assert words in policy_problem(pod, OperatorSettings())
    other = OperatorSettings.model_validate({"dataCollection": {"secretName": "other"}})
    assert policy_problem(pod, other) == ""


@pytest.mark.parametrize(
    "path", ["env.valueFrom.secretkeyref", "hostNetwork", "volumes.0.secret", "affinity.podAffinity.", ""]
)
def test_denied_field_that_does_not_exist_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="has no field"):
        PodPolicySettings(denied_fields=(path,))


def test_every_field_of_a_pod_can_be_denied() -> None:
    paths = (*PodSettings.model_json_schema(by_alias=True)["properties"], "resources.limits.nvidia.com/gpu")
    assert PodPolicySettings(denied_fields=paths).denied_fields == paths


def test_every_name_is_allowed_by_an_asterisk() -> None:
    policy = PodPolicySettings(priority_class_names=("*",))
    platform = OperatorSettings(scoring=ScoringSettings(pod=policy))
    assert policy_problem(PodSettings(priority_class_name="high", service_account_name="a"), platform) == ""


def deny(harness: OperatorHarness, *fields: str) -> None:
    """Change the platform's settings; a restart of the operator reads them."""
    scoring = ScoringSettings(pod=PodPolicySettings(denied_fields=fields))
    harness.settings = harness.settings.model_copy(update={"scoring": scoring})


async def test_denied_setting_stalls_the_service_until_the_platform_allows_it() -> None:
    scoring = ScoringSettings(pod=PodPolicySettings(denied_fields=("env",)))
    harness = OperatorHarness(OperatorSettings(scoring=scoring))
    await harness.start()
    harness.apply(*sample_objects()[:3], service(pod={"env": ENV}))
    await harness.play()
    assert harness.summary("Service") == ("m:1", "Failed", "PodSettingsNotAllowed")
    assert harness.condition("Service", "Stalled")["status"] == "True"
    assert "spec.pod.env must not be set" in harness.status("Service")["error"]["message"]
    assert not harness.cluster.all(DEPLOYMENTS)
    await harness.stop()
    deny(harness)
    await harness.start()
    await harness.play()
    assert harness.summary("Service") == ("m:1", "Succeeded", "Serving")
    await harness.stop()


async def test_service_keeps_its_pods_when_the_platform_denies_its_setting(serving: OperatorHarness) -> None:
    serving.change("Service", pod={"env": ENV})
    await serving.play()
    before = serving.cluster.at(DEPLOYMENTS, "m")
    await serving.stop()
    deny(serving, "env")
    await serving.start()
    await serving.play()
    assert serving.cluster.at(DEPLOYMENTS, "m") == before
    assert serving.summary("Service") == ("m:2", "Succeeded", "PodSettingsNotAllowed")
    assert serving.condition("Service", "Available")["status"] == "True"


async def test_denied_change_leaves_the_old_version_serving(serving: OperatorHarness) -> None:
    await serving.stop()
    deny(serving, "env")
    await serving.start()
    await serving.play()
    before = serving.cluster.at(DEPLOYMENTS, "m")
    serving.change("Service", pod={"env": ENV})
    await serving.play()
    assert serving.cluster.at(DEPLOYMENTS, "m") == before
    assert serving.summary("Service") == ("m:2", "Failed", "PodSettingsNotAllowed")
    assert serving.condition("Service", "Available")["status"] == "True"
