"""Public address of a service in the REST API: an additive field, and the scoring URI of the status."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from modelyard.gateway import from_kubernetes, schemas, to_kubernetes
from modelyard.kube.types import Json

ROUTE: Json = {"host": "fraud.example.com", "path": "/v2"}
URI = "https://fraud.example.com/v2/score"


def response(status: Json, **spec: object) -> Json:
    metadata = {"name": "m", "creationTimestamp": "2026-01-01T00:00:00Z"}
    body = {"metadata": metadata, "spec": {"imageId": "m", **spec}, "status": status}
    return from_kubernetes.service(body, None, None, ())


def test_request_with_a_route_sets_it_in_the_spec() -> None:
    fields = {"name": "m", "imageId": "m:1", "computeResource": {}, "route": ROUTE}
    request = schemas.ServiceCreateRequest.model_validate(fields)
    assert to_kubernetes.service_spec(request)["route"] == ROUTE


def test_update_without_a_route_keeps_it() -> None:
    request = schemas.ServiceUpdateRequest.model_validate({"numReplicas": 2})
    assert to_kubernetes.updated_service_spec({"imageId": "m", "route": ROUTE}, request)["route"] == ROUTE


def test_invalid_host_is_refused_with_its_field() -> None:
    with pytest.raises(ValidationError, match=r"route\.host must be a DNS name"):
        schemas.ServiceUpdateRequest.model_validate({"route": {"host": "*.example.com"}})


def test_response_has_the_public_scoring_uri_and_the_route_only_if_the_service_has_one() -> None:
    assert response({"scoringUri": URI}, route=ROUTE)["scoringUri"] == URI
    assert response({"scoringUri": URI}, route=ROUTE)["route"] == ROUTE
    assert "route" not in response({"scoringUri": URI})
