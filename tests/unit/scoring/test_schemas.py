"""Type hints of run(): conversion of requests, and OpenAPI documents."""

import json

import pytest
from openapi_spec_validator import (
    OpenAPIV2SpecValidator,
    OpenAPIV30SpecValidator,
    OpenAPIV31SpecValidator,
)
from tests.unit.scoring.scoring_process import ScoringProcess

DRIVER = """
from dataclasses import dataclass
from typing import Literal, Optional
@dataclass
class Person:
    name: str
    age: int = 30
def init(): pass
def run(
    people: list[Person], factor: float = 2, unit: Literal["a", "b"] = "a", note: Optional[str] = None
) -> dict[str, float]:
    return {person.name: person.age * factor for person in people} | {unit + (note or ""): 0}
"""

PYDANTIC = """
from pydantic import BaseModel, Field
class Inner(BaseModel):
    x: int = Field(gt=0)
class Outer(BaseModel):
    inner: Inner
    more: list[Inner] = []
def init(): pass
def run(data: Outer) -> Inner:
    return Inner(x=data.inner.x + len(data.more))
"""

NUMPY = """
import numpy
from numpy.typing import NDArray
def init(): pass
def run(
    rows: numpy.ndarray, weights: NDArray[numpy.float32], labels: NDArray[numpy.int64] = None
) -> numpy.ndarray:
    assert weights.dtype == numpy.float32
    assert labels is None or labels.dtype == numpy.int64
    return rows @ weights if labels is None else labels
"""

PLAIN = "def init(): pass\ndef run(data): return data\n"

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def server(serve_module) -> ScoringProcess:
    return serve_module(DRIVER)


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        ({"people": [{"name": "Ann", "age": 2}]}, 200, {"Ann": 4.0, "a": 0}),
        ({"people": [], "unit": "b", "note": "!"}, 200, {"b!": 0}),
        ({"people": [], "note": None, "more": 1}, 200, {"a": 0}),
        ({}, 400, "A value is not provided for the 'people' parameter."),
        ({"people": {}}, 400, "people: should be an array, not an object"),
        ({"people": [{"age": 1}]}, 400, "people: the field 'name' is missing"),
        ({"people": [{"name": "A", "size": 1}]}, 400, "people: the field 'size' is not known"),
        ({"people": [{"name": "A", "age": 1.5}]}, 400, "people: should be a whole number, not a number"),
        ({"people": [], "factor": True}, 400, "factor: should be a number, not true or false"),
        ({"people": [], "unit": "c"}, 400, "unit: should be one of 'a', 'b'"),
        (
            {"people": [], "note": 1},
            400,
            "note: should be a text, not a number or should be null, not a number",
        ),
    ],
)
def test_standard_types_are_converted_or_refused(
    server: ScoringProcess, body: object, status: int, expected: object
) -> None:
    response = server.score(json.dumps(body).encode(), JSON)

    assert response.status == status
    assert (response.json() if status == 200 else response.message) == expected


def test_query_is_converted_by_type_hints(server: ScoringProcess) -> None:
    assert server.request("GET", "/score?people=[]&note=12").json() == {"a12": 0}


def test_openapi_describes_the_type_hints(server: ScoringProcess) -> None:
    document = server.request("GET", "/swagger.json?version=3.1").json()

    schema = document["components"]["schemas"]["ServiceInput"]
    assert schema["required"] == ["people"]
    assert schema["properties"]["unit"] == {"enum": ["a", "b"], "default": "a"}
    assert schema["properties"]["people"]["items"]["required"] == ["name"]
    assert schema["example"]["people"] == [{"name": "text", "age": 1}]
    assert document["components"]["schemas"]["ServiceOutput"]["additionalProperties"] == {"type": "number"}


def test_openapi_has_the_parameters_of_the_azure_ml_containers(server: ScoringProcess) -> None:
    """Functions of generated clients then have the same arguments."""
    old, new = (server.request("GET", f"/swagger.json?version={version}").json() for version in (2, 3))

    assert old["paths"]["/score"]["post"]["parameters"] == [
        {"name": "serviceInputPayload", "in": "body", "schema": {"$ref": "#/definitions/ServiceInput"}}
    ]
    (version,) = old["paths"]["/swagger.json"]["get"]["parameters"]
    assert (version["name"], version["type"], version["enum"]) == ("version", "integer", [2, 3])
    (version,) = new["paths"]["/swagger.json"]["get"]["parameters"]
    assert version["schema"] == {"type": "integer", "enum": [2, 3]}
    assert [*new["paths"]["/score"]["post"]["requestBody"]] == ["content"]
    assert new["security"] == [{"Bearer": []}]


def test_openapi_names_the_prefix_that_a_proxy_removed(server: ScoringProcess) -> None:
    headers = {"X-Forwarded-Prefix": "/team-a/fraud"}
    old, new = (
        server.request("GET", f"/swagger.json?version={version}", headers=headers).json()
        for version in (2, 3)
    )

    assert (old["basePath"], new["servers"]) == ("/team-a/fraud", [{"url": "/team-a/fraud"}])
    assert "/score" in old["paths"]
    assert "basePath" not in server.request("GET", "/swagger.json").json()


def test_openapi_example_is_accepted(server: ScoringProcess) -> None:
    document = server.request("GET", "/swagger.json").json()

    assert (
        server.score(json.dumps(document["definitions"]["ServiceInput"]["example"]).encode(), JSON).status
        == 200
    )


def test_pydantic_models_are_converted_and_described(serve) -> None:
    scoring = serve(PYDANTIC)

    assert scoring.score(b'{"data": {"inner": {"x": 1}, "more": [{"x": 1}]}}', JSON).json() == {"x": 2}
    refused = scoring.score(b'{"data": {"inner": {"x": 0}}}', JSON)
    assert (refused.status, refused.message) == (400, "data: inner.x: Input should be greater than 0")
    for version in ("2", "3", "3.1"):
        document = scoring.request("GET", f"/swagger.json?version={version}").json()
        assert "$defs" not in json.dumps(document)
        assert '"exclusiveMinimum": ' in json.dumps(document)


@pytest.fixture(scope="module")
def numpy_server(serve_module) -> ScoringProcess:
    return serve_module(NUMPY)


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        ({"rows": [[1, 2], [3, 4]], "weights": [1, 0.5]}, 200, [2.0, 5.0]),
        ({"rows": [], "weights": [], "labels": [1, 2]}, 200, [1, 2]),
        ({"rows": 1, "weights": []}, 400, "rows: should be an array, not a number"),
        ({"rows": ["a"], "weights": []}, 400, "rows: should be an array with items of the type number"),
        ({"rows": [], "weights": ["a"]}, 400, "weights: should be an array with items of the type number"),
        ({"rows": [], "weights": ["1"]}, 400, "weights: should be an array with items of the type number"),
        ({"rows": [], "weights": [True]}, 400, "weights: should be an array with items of the type number"),
    ],
)
def test_numpy_arrays_are_converted_or_refused(
    numpy_server: ScoringProcess, body: object, status: int, expected: object
) -> None:
    response = numpy_server.score(json.dumps(body).encode(), JSON)

    assert response.status == status, numpy_server.log
    assert (response.json() if status == 200 else response.message) == expected


def test_openapi_describes_numpy_arrays(numpy_server: ScoringProcess) -> None:
    schemas = numpy_server.request("GET", "/swagger.json?version=3.1").json()["components"]["schemas"]

    inputs = schemas["ServiceInput"]["properties"]
    assert inputs["rows"]["items"]["anyOf"][0] == {"type": "number"}
    assert inputs["labels"]["items"]["anyOf"][0] == {"type": "integer"}
    assert schemas["ServiceInput"]["required"] == ["rows", "weights"]
    assert schemas["ServiceOutput"]["type"] == "array"
    assert schemas["ServiceInput"]["example"]["labels"] == [[1, 1]], "null would be refused"


@pytest.fixture(
    scope="module", params=[DRIVER, PYDANTIC, NUMPY, PLAIN], ids=["types", "pydantic", "numpy", "plain"]
)
def described(request: pytest.FixtureRequest, serve_module) -> ScoringProcess:
    return serve_module(request.param)


@pytest.mark.parametrize(
    ("version", "standard"),
    [("2", OpenAPIV2SpecValidator), ("3", OpenAPIV30SpecValidator), ("3.1", OpenAPIV31SpecValidator)],
)
def test_openapi_document_is_valid(described: ScoringProcess, version: str, standard: type) -> None:
    document = described.request("GET", f"/swagger.json?version={version}").json()

    assert [error.message for error in standard(document).iter_errors()] == []


@pytest.mark.parametrize(
    "run",
    [
        "def run(data: str): return data",
        "def run(data: 'Missing'): return data",
        "def run(data: object): return data",
    ],
)
def test_unusable_hints_leave_a_plain_driver(serve, run: str) -> None:
    assert serve(f"def init(): pass\n{run}\n").score(b"text").json() == "text"


@pytest.mark.parametrize(
    ("hint", "body"),
    [
        ("dict", "json.loads(data)"),
        ("list", "json.loads( data )"),
        ("dict[str, int]", "json.loads(data)"),
        ("str | None = None", "[data]"),
    ],
)
def test_hint_of_a_driver_that_parses_text_has_no_effect(serve, hint: str, body: str) -> None:
    scoring = serve(f"import json\ndef init(): pass\ndef run(data: {hint}):\n    return {body}\n")
    assert scoring.score(b"[1, 2]").json() in ([1, 2], ["[1, 2]"])
