"""Pod template of a Service with `spec.pod`."""

from __future__ import annotations

from typing import Any

from tests.api_cases.pod import EVERY_FIELD

from modelyard.api.owners import Owner
from modelyard.api.pod.environment import RESERVED_VARIABLES
from modelyard.api.service import ServiceSpec
from modelyard.kube.types import Json
from modelyard.reconcile.services.template import template_inputs
from modelyard.resources.architecture import ARCHITECTURE
from modelyard.resources.pod_settings import without_empty
from modelyard.resources.pod_template import ScoringImage, pod_template
from modelyard.settings import ScoringSettings

OWNER = Owner("Service", "m", "u1")
IMAGE = "localhost:5000/modelyard/default/m@sha256:" + "a" * 64


def service(**pod: Any) -> ServiceSpec:
    return ServiceSpec.model_validate({"imageId": "m", "pod": pod} if pod else {"imageId": "m"})


def template(scoring: ScoringSettings | None = None, **pod: Any) -> Json:
    return pod_template(OWNER, service(**pod), ScoringImage(IMAGE), scoring or ScoringSettings())


def container(body: Json) -> Json:
    found: Json = body["spec"]["containers"][0]
    return found


def test_template_of_a_service_without_settings_is_that_of_empty_settings() -> None:
    assert template() == template(env=[], envFrom=[])
    assert "envFrom" not in container(template())


def test_variables_follow_those_of_the_operator() -> None:
    own = container(template())["env"]
    added = [
        {"name": "STORE", "value": "s3://models"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "store", "key": "token"}}},
    ]
    source = {"prefix": "DB_", "configMapRef": {"name": "database"}}
    changed = container(template(env=added, envFrom=[source]))
    assert changed["env"] == own + added
    assert changed["envFrom"] == [source]


def test_changed_settings_are_other_inputs_of_the_template() -> None:
    absent = template_inputs(service(), IMAGE)
    present = template_inputs(service(env=[{"name": "A", "value": "1"}]), IMAGE)
    assert len({absent, present, template_inputs(service(env=[{"name": "A", "value": "2"}]), IMAGE)}) == 3


def test_every_field_reaches_the_template() -> None:
    body = template(**EVERY_FIELD)
    pod = body["spec"]
    every = without_empty(EVERY_FIELD)
    for name in ("tolerations", "affinity", "priorityClassName", "runtimeClassName", "serviceAccountName"):
        assert pod[name] == every[name]
    assert pod["nodeSelector"] == EVERY_FIELD["nodeSelector"]
    assert pod["imagePullSecrets"] == EVERY_FIELD["imagePullSecrets"]
    assert pod["volumes"][2:] == every["volumes"]
    assert container(body)["volumeMounts"][2:] == every["volumeMounts"]
    assert EVERY_FIELD["labels"].items() <= body["metadata"]["labels"].items()
    assert EVERY_FIELD["annotations"].items() <= body["metadata"]["annotations"].items()
    assert pod["securityContext"] == {"runAsNonRoot": True} | EVERY_FIELD["securityContext"]
    assert container(body)["resources"] == {
        "requests": {"cpu": "100m", "memory": "512Mi", "ephemeral-storage": "1Gi"},
        "limits": {name: str(limit) for name, limit in EVERY_FIELD["resources"]["limits"].items()},
    }


def test_selector_of_the_service_is_the_default_of_a_spread() -> None:
    first, second = template(**EVERY_FIELD)["spec"]["topologySpreadConstraints"]
    assert first["labelSelector"] == {"matchLabels": {"modelyard.dev/service": "m"}}
    assert second["labelSelector"] == {"matchLabels": {"app": "a"}}


def test_template_omits_fields_that_the_api_server_omits() -> None:
    env = container(template(env=[{"name": "A", "value": ""}]))["env"]
    assert env[-1] == {"name": "A"}
    mount = {"name": "v", "mountPath": "/v", "readOnly": False}
    volume = {"name": "v", "emptyDir": {"sizeLimit": "1Gi", "medium": ""}}
    body = template(volumes=[volume], volumeMounts=[mount])
    assert container(body)["volumeMounts"][-1] == {"name": "v", "mountPath": "/v"}
    assert body["spec"]["volumes"][-1] == {"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}
    assert template(labels={"a": ""})["metadata"]["labels"]["a"] == ""


def test_architecture_of_the_image_replaces_that_of_the_settings() -> None:
    image = ScoringImage(IMAGE, ("arm64",))
    body = pod_template(OWNER, service(nodeSelector={ARCHITECTURE: "amd64"}), image, ScoringSettings())
    assert body["spec"]["nodeSelector"] == {ARCHITECTURE: "arm64"}


DEFAULTS: dict[str, Any] = {
    "nodeSelector": {"pool": "shared", "zone": "a"},
    "tolerations": [{"key": "shared", "operator": "Exists"}],
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    ],
    "limits": {"memory": "4Gi", "cpu": "2"},
    "priorityClassName": "low",
    "runtimeClassName": "runc",
    "imagePullSecrets": ["platform"],
}


def test_settings_of_the_service_override_defaults_of_the_platform() -> None:
    gpu = {"key": "gpu", "operator": "Exists"}
    spread = {"maxSkew": 3, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
    body = template(
        ScoringSettings.model_validate(DEFAULTS),
        nodeSelector={"pool": "gpu"},
        tolerations=[gpu],
        topologySpreadConstraints=[spread],
        resources={"limits": {"memory": "8Gi"}},
        priorityClassName="high",
        imagePullSecrets=[{"name": "team"}],
        securityContext={"seccompProfile": {"type": "Localhost", "localhostProfile": "a.json"}},
    )
    pod = body["spec"]
    assert pod["nodeSelector"] == {"pool": "gpu", "zone": "a"}
    assert pod["tolerations"] == [*DEFAULTS["tolerations"], gpu]
    assert [item["maxSkew"] for item in pod["topologySpreadConstraints"]] == [3]
    limits = container(body)["resources"]["limits"]
    assert (limits["memory"], limits["cpu"]) == ("8Gi", "2")
    assert (pod["priorityClassName"], pod["runtimeClassName"]) == ("high", "runc")
    assert pod["imagePullSecrets"] == [{"name": "platform"}, {"name": "team"}]
    assert pod["securityContext"]["seccompProfile"] == {"type": "Localhost", "localhostProfile": "a.json"}
    assert pod["securityContext"]["runAsNonRoot"]


def test_required_settings_of_the_platform_override_those_of_the_service() -> None:
    required: dict[str, Any] = {
        "nodeSelector": {"pool": "tenants"},
        "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "labels": {"cost": "ml"},
        "runtimeClassName": "gvisor",
    }
    scoring = ScoringSettings.model_validate({"pod": {"required": required}})
    body = template(
        scoring,
        nodeSelector={"pool": "gpu", "zone": "b"},
        env=[{"name": "HTTPS_PROXY", "value": ""}, {"name": "A", "value": "1"}],
        labels={"cost": "none", "team": "a"},
        runtimeClassName="runc",
    )
    assert body["spec"]["nodeSelector"] == {"pool": "tenants", "zone": "b"}
    assert container(body)["env"][-2:] == [{"name": "A", "value": "1"}, *required["env"]]
    assert {"cost": "ml", "team": "a"}.items() <= body["metadata"]["labels"].items()
    assert body["spec"]["runtimeClassName"] == "gvisor"


def variables(body: Json) -> dict[str, str]:
    return {item["name"]: item.get("value", "") for item in container(body)["env"]}


def test_runtime_settings_are_variables_of_the_scoring_runtime() -> None:
    runtime = {
        "workers": 2,
        "scoringTimeoutMs": 1500,
        "queueTimeoutMs": 200,
        "maxBodySize": "1.5Ki",
        "corsOrigins": ["https://a.example.com", "*"],
        "logLevel": "DEBUG",
    }
    own, changed = variables(template()), variables(template(runtime=runtime))
    assert {name: changed[name] for name in changed if changed[name] != own.get(name)} == {
        "MODELYARD_WORKERS": "2",
        "SCORING_TIMEOUT_MS": "1500",
        "MODELYARD_QUEUE_TIMEOUT_MS": "200",
        "MODELYARD_MAX_BODY_BYTES": "1536",
        "AML_CORS_ORIGINS": "https://a.example.com,*",
        "MODELYARD_LOG_LEVEL": "DEBUG",
    }
    assert template(runtime={}) == template()


def test_variables_of_the_operator_are_reserved() -> None:
    scoring = ScoringSettings(otlp_endpoint="http://collector:4318", app_insights_secret="azure")
    settings = {"corsOrigins": ["https://a.example.com"], "workers": 2}
    spec = ServiceSpec.model_validate(
        {"imageId": "m", "appInsightsEnabled": True, "pod": {"runtime": settings}}
    )
    names = {
        item["name"] for item in container(pod_template(OWNER, spec, ScoringImage(IMAGE), scoring))["env"]
    }
    assert {name for name in names if not name.startswith("MODELYARD_")} <= set(RESERVED_VARIABLES)
