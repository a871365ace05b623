"""Pod template of a Service with `spec.pod`."""

from __future__ import annotations

from typing import Any

from modelyard.api.owners import Owner
from modelyard.api.service import ServiceSpec
from modelyard.kube.types import Json
from modelyard.reconcile.services.template import template_inputs
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
