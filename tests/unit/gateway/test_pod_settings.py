"""`pod` of services in the REST API, which the API of 2017 did not have."""

from __future__ import annotations

from typing import Any

from tests.unit.gateway.conftest import Api

from modelyard.gateway import from_kubernetes, schemas, to_kubernetes

POD: dict[str, Any] = {
    "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "store", "key": "token"}}}],
    "resources": {"limits": {"memory": "300Mi", "nvidia.com/gpu": 1}},
    "labels": {"team": "a"},
}


def response(**spec: Any) -> dict[str, Any]:
    metadata = {"name": "m", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return from_kubernetes.service({"metadata": metadata, "spec": {"imageId": "m"} | spec}, None, None, ())


def test_request_with_pod_becomes_the_spec() -> None:
    request = schemas.ServiceCreateRequest.model_validate(
        {"name": "m", "imageId": "m:1", "computeResource": {}, "pod": POD}
    )
    assert to_kubernetes.service_spec(request)["pod"] == POD


def test_request_without_pod_sets_none() -> None:
    request = schemas.ServiceCreateRequest.model_validate(
        {"name": "m", "imageId": "m:1", "computeResource": {}}
    )
    assert "pod" not in to_kubernetes.service_spec(request)


def test_update_replaces_the_fields_of_pod_in_the_request() -> None:
    request = schemas.ServiceUpdateRequest.model_validate({"pod": {"labels": {"team": "b"}}})
    updated = to_kubernetes.updated_service_spec({"imageId": "m", "pod": POD}, request)
    assert updated["pod"] == POD | {"labels": {"team": "b"}}


def test_update_of_a_limit_leaves_the_reservation_to_the_api_server() -> None:
    limit = {"pod": {"resources": {"limits": {"memory": "300Mi"}}}}
    request = schemas.ServiceUpdateRequest.model_validate(limit)
    current = {"imageId": "m", "containerResourceReservation": {"memory": "256Mi"}}
    assert to_kubernetes.updated_service_spec(current, request) == current | limit


def test_response_has_pod_only_if_the_service_has_it() -> None:
    assert response(pod=POD)["pod"] == POD
    assert "pod" not in response()


async def test_document_describes_pod(api: Api) -> None:
    document = (await api.http.get("http://gateway/openapi.json")).json()["components"]["schemas"]
    for name in ("ServiceCreateRequest", "ServiceUpdateRequest", "ServiceResponse"):
        assert "spec.pod" in document[name]["properties"]["pod"]["description"]


async def test_setting_that_is_not_valid_is_named(api: Api) -> None:
    body = {"name": "m", "imageId": "m:1", "computeResource": {}, "pod": {"env": [{"name": "1"}]}}
    error = await api.post("/services", body, status=400)
    assert "no digit first" in str(error)
