"""Builders of the children of a Service."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.api import labels
from modelyard.api.owners import Owner
from modelyard.api.service import ServiceSpec
from modelyard.kube.merge import fingerprint
from modelyard.kube.types import Json
from modelyard.resources import serving
from modelyard.resources.architecture import ARCHITECTURE
from modelyard.resources.autoscaling import autoscaler
from modelyard.resources.pod_template import ScoringImage
from modelyard.settings import ScoringSettings

OWNER = Owner("Service", "m", "u1")
IMAGE = "localhost:5000/modelyard/default/m@sha256:" + "a" * 64
SETTINGS = ScoringSettings()


def deployment(settings: ScoringSettings = SETTINGS, image: str = IMAGE, **spec: Any) -> Json:
    return serving.deployment(
        OWNER, ServiceSpec.model_validate({"imageId": "m"} | spec), ScoringImage(image), settings
    )


def container(body: Json) -> Json:
    found: Json = body["spec"]["template"]["spec"]["containers"][0]
    return found


def test_pods_run_without_privileges() -> None:
    pod = deployment()["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod["automountServiceAccountToken"]
    assert container(deployment())["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_tmp_volume_has_the_size_limit_of_the_settings() -> None:
    volumes = deployment(ScoringSettings(tmp_size="3Gi"))["spec"]["template"]["spec"]["volumes"]
    assert {"name": "tmp", "emptyDir": {"sizeLimit": "3Gi"}} in volumes


def test_empty_settings_leave_the_fields_out() -> None:
    empty = ScoringSettings(
        memory_limit_factor=0, ephemeral_storage_request="", topology_spread_constraints=()
    )
    pod = deployment(empty)["spec"]["template"]["spec"]
    fields = {
        "nodeSelector",
        "tolerations",
        "topologySpreadConstraints",
        "priorityClassName",
        "runtimeClassName",
    }
    assert not fields & set(pod)
    assert container(deployment(empty))["resources"] == {"requests": {"cpu": "100m", "memory": "512Mi"}}


def test_replicas_are_spread_over_nodes_and_zones_where_there_is_room() -> None:
    body = deployment()
    constraints = body["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [one["topologyKey"] for one in constraints] == [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    ]
    assert {one["whenUnsatisfiable"] for one in constraints} == {"ScheduleAnyway"}
    assert all(one["labelSelector"] == body["spec"]["selector"] for one in constraints)


def test_pods_have_the_nodes_and_the_priority_of_the_settings() -> None:
    settings = ScoringSettings.model_validate(
        {
            "nodeSelector": {"pool": "gpu", ARCHITECTURE: "amd64"},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone"}],
            "priorityClassName": "serving",
            "runtimeClassName": "nvidia",
        }
    )
    image = ScoringImage(IMAGE, ("arm64",))
    body = serving.deployment(OWNER, ServiceSpec.model_validate({"imageId": "m"}), image, settings)
    pod = body["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"pool": "gpu", ARCHITECTURE: "arm64"}
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    (spread,) = pod["topologySpreadConstraints"]
    assert spread["labelSelector"] == body["spec"]["selector"]
    assert (pod["priorityClassName"], pod["runtimeClassName"]) == ("serving", "nvidia")


def test_rollout_starts_new_pods_before_it_stops_old_ones() -> None:
    body = deployment(ScoringSettings(pre_stop_seconds=7, drain_seconds=40))
    pod = body["spec"]["template"]["spec"]
    assert body["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert container(body)["lifecycle"] == {"preStop": {"sleep": {"seconds": 7}}}
    assert pod["terminationGracePeriodSeconds"] > 7 + 40
    assert {"name": "MODELYARD_DRAIN_SECONDS", "value": "40"} in container(body)["env"]
    reserved = {"resourceFieldRef": {"resource": "requests.memory"}}
    assert {"name": "MODELYARD_MEMORY_BYTES", "valueFrom": reserved} in container(body)["env"]


def test_pre_stop_hook_is_left_out_for_zero_seconds() -> None:
    assert "lifecycle" not in container(deployment(ScoringSettings(pre_stop_seconds=0)))


def test_budget_lets_a_drain_evict_replicas_that_are_not_ready() -> None:
    budget = serving.disruption_budget(OWNER)["spec"]
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


def test_pod_has_readiness_and_liveness_probes() -> None:
    found = container(deployment(ScoringSettings(progress_deadline_seconds=90)))
    assert {name: found[name]["httpGet"]["path"] for name in found if name.endswith("Probe")} == {
        "readinessProbe": "/ready",
        "livenessProbe": "/",
    }
    assert {"name": "MODELYARD_INIT_SECONDS", "value": "90"} in found["env"]


def test_server_gets_the_limits_of_the_chart() -> None:
    variables = container(deployment(ScoringSettings(scoring_timeout_ms=3000, workers=2)))["env"]
    assert {"name": "SCORING_TIMEOUT_MS", "value": "3000"} in variables
    assert {"name": "MODELYARD_WORKERS", "value": "2"} in variables


def test_image_is_pinned_by_digest() -> None:
    assert container(deployment())["image"] == IMAGE


@pytest.mark.parametrize(
    ("spec", "replicas"),
    [
        ({}, None),
        ({"autoScaler": {"minReplicas": 3}}, None),
        ({"numReplicas": 3}, 3),
        ({"numReplicas": 0}, 0),
        ({"autoScaler": {"autoscaleEnabled": False}}, None),
    ],
)
def test_deployment_has_replicas_only_if_they_are_fixed(spec: dict[str, Any], replicas: int | None) -> None:
    assert deployment(**spec)["spec"].get("replicas") == replicas


@pytest.mark.parametrize(
    ("reserved", "requests"),
    [
        ({}, {"cpu": "100m", "memory": "512Mi"}),
        ({"cpu": 2}, {"cpu": "2", "memory": "512Mi"}),
        ({"cpu": "0.5", "memory": "2G"}, {"cpu": "0.5", "memory": "2G"}),
    ],
)
def test_reservation_becomes_resource_requests(reserved: dict[str, Any], requests: dict[str, str]) -> None:
    body = deployment(containerResourceReservation=reserved)
    found = container(body)["resources"]["requests"]
    assert {name: found[name] for name in requests} == requests


def test_pod_has_concurrency_and_pull_secrets() -> None:
    body = deployment(ScoringSettings(image_pull_secrets=("a", "b")), maxConcurrentRequestsPerContainer=9)
    assert {"name": "MODELYARD_MAX_CONCURRENT_REQUESTS", "value": "9"} in container(body)["env"]
    assert body["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}]


def test_template_hash_changes_only_with_the_pod_template() -> None:
    first = deployment(numReplicas=1)
    assert fingerprint(first) == fingerprint(deployment(numReplicas=1))
    assert serving.template_hash(first) == serving.template_hash(deployment(numReplicas=2))
    assert fingerprint(first) != fingerprint(deployment(numReplicas=2))
    assert serving.template_hash(first) != serving.template_hash(deployment(image=IMAGE[:-1] + "b"))


def test_selectors_match_the_pods() -> None:
    body = deployment()
    pod_labels = body["spec"]["template"]["metadata"]["labels"]
    selectors = [
        body["spec"]["selector"]["matchLabels"],
        serving.core_service(OWNER)["spec"]["selector"],
        serving.disruption_budget(OWNER)["spec"]["selector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= pod_labels.items()


def test_every_child_has_owner_and_labels() -> None:
    spec = ServiceSpec(image_id="m")
    children = [
        deployment(),
        serving.core_service(OWNER),
        autoscaler(OWNER, spec, has_requests_metric=True),
        serving.disruption_budget(OWNER),
        serving.keys(OWNER),
    ]
    for child in children:
        meta = child["metadata"]
        assert meta["labels"][labels.MANAGED_BY] == labels.MANAGER
        assert [(o["uid"], o["controller"], o["blockOwnerDeletion"]) for o in meta["ownerReferences"]] == [
            ("u1", True, False)
        ]
    assert [child["metadata"]["name"] for child in children] == ["m", "m", "m", "m", "m-keys"]


def test_scoring_uri_has_the_cluster_domain() -> None:
    uri = serving.scoring_uri("m", "team", ScoringSettings(cluster_domain="corp.internal"))
    assert uri == "http://m.team.svc.corp.internal/score"


ASKED_FOR = [
    {"name": "AML_APP_INSIGHTS_ENABLED", "value": "true"},
    {"name": "OTEL_SERVICE_NAME", "value": "m"},
]
COLLECTOR = {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://c:4318"}
AZURE = {
    "name": "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "valueFrom": {"secretKeyRef": {"name": "azure", "key": "connectionString", "optional": True}},
}


@pytest.mark.parametrize(
    ("asked", "collector", "secret", "told"),
    [
        (True, "http://c:4318", None, [*ASKED_FOR, COLLECTOR]),
        (True, None, "azure", [*ASKED_FOR, AZURE]),
        (True, "http://c:4318", "azure", [*ASKED_FOR, COLLECTOR, AZURE]),
        (True, None, None, []),
        (False, "http://c:4318", "azure", []),
    ],
)
def test_traces_go_to_the_destinations_of_the_chart(
    asked: bool, collector: str | None, secret: str | None, told: list[Json]
) -> None:
    settings = ScoringSettings(otlp_endpoint=collector, app_insights_secret=secret)
    variables = container(deployment(settings, appInsightsEnabled=asked))["env"]
    prefixes = ("AML_APP", "OTEL", "APPLICATIONINSIGHTS")
    assert [one for one in variables if one["name"].startswith(prefixes)] == told


def test_key_of_the_connection_string_can_be_set() -> None:
    settings = ScoringSettings(app_insights_secret="azure", app_insights_secret_key="other")
    (one,) = (
        variable["valueFrom"]["secretKeyRef"]
        for variable in container(deployment(settings, appInsightsEnabled=True))["env"]
        if variable["name"] == AZURE["name"]
    )
    assert one["key"] == "other"
