"""Errors: each one is an ErrorResponse with a code that names the cause."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance.api.conftest import (
    RESOURCE_GROUP,
    SUBSCRIPTION,
    Api,
    model,
)
from tests.conformance.api.reference import (
    ADDED_ROUTES,
    ROUTES,
    Route,
)
from tests.support.cluster import Kubectl

_EVERY_ROUTE = pytest.mark.parametrize("route", [*ROUTES, *ADDED_ROUTES], ids=lambda route: route.name)


def _path(route: Route) -> str:
    revisions = {"/deployments/{id}": "service-nothing-1", "/operations/{id}": "image-nothing-1"}
    return route.path.replace("{id}", revisions.get(route.path, "nothing:1"))


@_EVERY_ROUTE
def test_call_without_a_token_is_unauthorized(api: Api, route: Route) -> None:
    body = {"json": {}} if route.body else {}
    response = api(route.method, _path(route), 401, headers={"Authorization": ""}, **body)
    assert response.json()["code"] == "Unauthorized"
    assert response.headers["WWW-Authenticate"] == "Bearer"


@_EVERY_ROUTE
@pytest.mark.parametrize(
    ("params", "code"), [({"api-version": "2016-01-01"}, "UnknownApiVersion"), ({}, "MissingApiVersion")]
)
def test_api_version_is_required_and_checked(
    api: Api, route: Route, params: dict[str, str], code: str
) -> None:
    response = api.http.request(route.method, api.root + _path(route), params=params, json={"name": "x"})
    assert (response.status_code, response.json()["code"]) == (400, code)


@_EVERY_ROUTE
def test_invalid_token_is_unauthorized(caller: Callable[..., Api], route: Route) -> None:
    body = {"json": _body(route)} if route.body else {}
    assert caller(token="invalid")(route.method, _path(route), 401, **body).json()["code"] == "Unauthorized"


@_EVERY_ROUTE
def test_call_without_the_right_is_forbidden(caller: Callable[..., Api], route: Route) -> None:
    body = {"json": _body(route)} if route.body else {}
    assert caller("no-role")(route.method, _path(route), 403, **body).json()["code"] == "Forbidden"


def _body(route: Route) -> object:
    bodies = {
        "Model": model("x"),
        "Manifest": {
            "name": "x", "driverProgram": "d", "assets": [{"id": "d", "url": "data:,"}], "modelIds": ["x:1"],
            "targetRuntime": {"runtimeType": "Python", "properties": {}},
        },
        "ImageRequest": {"name": "x", "manifestId": "x:1", "imageType": "Docker", "computeResourceId": "c"},
        "ServiceCreateRequest": {"name": "x", "imageId": "x:1", "computeResource": {}},
    }  # fmt: skip
    return bodies.get(route.body or "", {})


@pytest.mark.parametrize(
    ("namespace", "group", "subscription"),
    [
        (None, "another", SUBSCRIPTION),
        (None, RESOURCE_GROUP, "another"),
        ("no-such-account", RESOURCE_GROUP, SUBSCRIPTION),
        ("..", RESOURCE_GROUP, SUBSCRIPTION),
        ("UPPER", RESOURCE_GROUP, SUBSCRIPTION),
        ("a%2Fb", RESOURCE_GROUP, SUBSCRIPTION),
    ],
)
def test_unknown_account_is_not_found(
    caller: Callable[..., Api], account: Kubectl, namespace: str | None, group: str, subscription: str
) -> None:
    path = f"/subscriptions/{subscription}/resourceGroups/{group}/accounts/{namespace or account.namespace}"
    response = caller(path=path)("GET", "/models")
    assert response.status_code in {403, 404}
    assert response.json()["code"] in {"AccountNotFound", "RouteNotFound", "Forbidden"}


def test_resource_group_is_compared_without_case(caller: Callable[..., Api], account: Kubectl) -> None:
    path = f"/subscriptions/{SUBSCRIPTION.upper()}/resourceGroups/{RESOURCE_GROUP.upper()}"
    caller(path=f"{path}/accounts/{account.namespace}").get("/models")


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("name", None, "Missing"),
        ("url", "ftp://h/m", "Invalid"),
        ("mimeType", None, "Missing"),
        ("mimeType", 3, "Invalid"),
        ("unpack", "yes", "Invalid"),
        ("tags", "a", "Invalid"),
        ("name", "a/b", "Invalid"),
    ],
)
def test_invalid_body_has_details(api: Api, name: str, field: str, value: object, code: str) -> None:
    body = {key: item for key, item in {**model(name), field: value}.items() if item is not None}
    error = api("POST", "/models", 400, json=body).json()
    assert error["code"] == "InvalidRequest"
    assert [(detail["code"], detail["message"].partition(":")[0]) for detail in error["details"]] == [
        (code, field)
    ]


def test_two_invalid_fields_have_two_details(api: Api) -> None:
    error = api("POST", "/models", 400, json={"url": "data:,1"}).json()
    assert {detail["message"].partition(":")[0] for detail in error["details"]} == {"name", "mimeType"}


def test_error_does_not_repeat_the_request(api: Api, name: str) -> None:
    response = api("POST", "/models", 400, json=model(name, url="ftp://h/m?sig=SECRET"))
    assert "SECRET" not in response.text


def test_body_that_is_not_json_is_rejected(api: Api) -> None:
    headers = {"Content-Type": "application/json"}
    assert api("POST", "/models", 400, content=b"{", headers=headers).json()["code"] == "InvalidJson"
    assert api("POST", "/models", 400, headers=headers).json()["code"] == "InvalidRequest"


def test_other_media_type_is_rejected(api: Api) -> None:
    response = api(
        "POST",
        "/models",
        415,
        content=b"name=x",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert response.json()["code"] == "UnsupportedMediaType"


def test_large_body_is_rejected(api: Api, name: str) -> None:
    response = api("POST", "/models", 413, json=model(name, description="x" * 3_000_000))
    assert response.json()["code"] == "RequestTooLarge"


def test_other_method_is_not_allowed(api: Api) -> None:
    response = api("PATCH", "/models", 405)
    assert response.json()["code"] == "MethodNotAllowed"
    assert "GET" in response.headers["Allow"]


def test_unknown_route_is_not_found(api: Api) -> None:
    assert api("GET", "/nothing", 404).json()["code"] == "RouteNotFound"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/models/nothing:1", "ModelNotFound"),
        ("/models/nothing", "ModelNotFound"),
        ("/manifests/nothing:1", "ManifestNotFound"),
        ("/images/nothing:1", "ImageNotFound"),
        ("/services/nothing", "ServiceNotFound"),
        ("/deployments/nothing", "DeploymentNotFound"),
        ("/deployments/service-nothing-1", "DeploymentNotFound"),
        ("/operations/nothing", "OperationNotFound"),
        ("/operations/image-nothing-1", "OperationNotFound"),
        ("/operations/model-nothing-1", "OperationNotFound"),
    ],
)
def test_unknown_id_is_not_found(api: Api, path: str, code: str) -> None:
    assert api("GET", path, 404).json()["code"] == code


def test_responses_have_request_ids(api: Api) -> None:
    client_id = api("GET", "/models", 200, headers={"x-ms-client-request-id": "mine-1"})
    assert client_id.headers["x-ms-client-request-id"] == "mine-1"
    generated = api("GET", "/models", 200)
    assert generated.headers["x-ms-request-id"] != client_id.headers["x-ms-request-id"]
    too_long = api("GET", "/nothing", 404, headers={"x-ms-client-request-id": "x" * 500})
    assert too_long.headers["x-ms-client-request-id"] == too_long.headers["x-ms-request-id"]
