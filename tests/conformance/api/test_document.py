"""The OpenAPI document matches the reference."""

from __future__ import annotations

from typing import Any, Final

import pytest
from tests.conformance.api.conftest import Api
from tests.conformance.api.reference import (
    ADDED_PARAMETERS,
    ADDED_ROUTES,
    BASE,
    DEFINITIONS,
    ENUMS,
    ROUTES,
    Field,
    Route,
)

_PLAIN: Final = {"string", "integer", "boolean"}


@pytest.fixture(scope="session")
def document(api: Api, base_url: str) -> Any:
    """The served document."""
    return api.http.get(f"{base_url}/openapi.json").raise_for_status().json()


def test_docs_page_needs_no_other_server(api: Api, base_url: str, document: Any) -> None:
    page = api.http.get(f"{base_url}/docs").raise_for_status().text
    assert "https://" not in page
    files = {
        file: api.http.get(f"{base_url}/docs/files/{file}").raise_for_status().text
        for file in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png")
        if file in page
    }
    assert len(files) == 3
    assert document["openapi"].startswith("3.1.")
    assert "isOAS31" in files["swagger-ui-bundle.js"], "Swagger UI before 5 shows no OpenAPI 3.1"


def test_document_has_the_routes_of_the_reference(document: Any) -> None:
    served = {
        f"{method.upper()} {path.removeprefix(BASE)}"
        for path, item in document["paths"].items()
        for method in item
    }
    assert served == {route.name for route in (*ROUTES, *ADDED_ROUTES)}


@pytest.mark.parametrize("route", [*ROUTES, *ADDED_ROUTES], ids=lambda route: route.name)
def test_route_matches_the_reference(document: Any, route: Route) -> None:
    operation = document["paths"][BASE + route.path][route.method.lower()]
    common = {"subscriptionId", "resourceGroupName", "accountName", "api-version"}
    added = ADDED_PARAMETERS.get(route.name, ())
    assert {item["name"] for item in operation["parameters"]} == {*common, *route.parameters, *added}
    assert operation["security"] == [{"HTTPBearer": []}]
    responses = operation["responses"]
    assert set(responses) == {*map(str, route.responses), "default"}
    assert _name(responses["default"]["content"]["application/json"]["schema"]) == "ErrorResponse"
    for header in route.headers:
        assert header in responses["202"]["headers"]
    for status, definition in route.responses.items():
        described = "application/json" in responses[str(status)].get("content", {})
        assert described == (definition is not None), status
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    assert _name(body) == route.body


@pytest.mark.parametrize(
    ("definition", "field"), [(name, field) for name, fields in DEFINITIONS.items() for field in fields],
    ids=lambda value: value if isinstance(value, str) else value.name,
)  # fmt: skip
def test_field_matches_the_reference(document: Any, definition: str, field: Field) -> None:
    schema = document["components"]["schemas"][definition]
    described = _plain(schema["properties"][field.name])
    if field.required:
        assert field.name in schema["required"]
    # docs/rest-api.md lists fields that the gateway requires although they are optional in the reference.
    if field.type in _PLAIN:
        assert described.get("type", "string") == field.type
    if field.type == "date-time":
        assert described["format"] == "date-time"
    if field.type.startswith("["):
        assert described["type"] == "array"
    if field.type in ENUMS:
        referred = document["components"]["schemas"][_name(described) or ""]
        values = referred.get("enum", [referred.get("const")])
        assert tuple(values) == ENUMS[field.type]
    if field.read_only:
        assert described["readOnly"] is True
    if field.least is not None:
        assert described["minimum"] == field.least
    if field.most is not None:
        assert described["maximum"] == field.most


def _plain(schema: Any) -> Any:
    """Return the schema without the alternative null."""
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    other_keys = {key: value for key, value in schema.items() if key != "anyOf"}
    return options[0] | other_keys if options else schema


def _name(schema: Any) -> str | None:
    reference = schema.get("$ref")
    return reference.rsplit("/", 1)[1] if reference else None
