"""Type hints of run(): what they let through, and what they say in OpenAPI."""

import json

import pytest
from openapi_spec_validator import (
    OpenAPIV2SpecValidator,
    OpenAPIV30SpecValidator,
    OpenAPIV31SpecValidator,
)
from tests.unit.scoring.running import ScoringProcess

from modelyard.scoring.worker.hints import UnknownHintError, hint_of
from modelyard.scoring.worker.openapi import lowered

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
    ("body", "status", "said"),
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
def test_standard_types(server: ScoringProcess, body: object, status: int, said: object) -> None:
    answer = server.score(json.dumps(body).encode(), JSON)

    assert answer.status == status
    assert (answer.json() if status == 200 else answer.message) == said


def test_a_query_is_converted_too(server: ScoringProcess) -> None:
    assert server.ask("GET", "/score?people=[]&note=12").json() == {"a12": 0}


def test_openapi_says_what_is_checked(server: ScoringProcess) -> None:
    document = server.ask("GET", "/swagger.json?version=3.1").json()

    schema = document["components"]["schemas"]["ServiceInput"]
    assert schema["required"] == ["people"]
    assert schema["properties"]["unit"] == {"enum": ["a", "b"], "default": "a"}
    assert schema["properties"]["people"]["items"]["required"] == ["name"]
    assert schema["example"]["people"] == [{"name": "text", "age": 1}]
    assert document["components"]["schemas"]["ServiceOutput"]["additionalProperties"] == {"type": "number"}


def test_the_example_is_accepted(server: ScoringProcess) -> None:
    document = server.ask("GET", "/swagger.json").json()

    assert (
        server.score(json.dumps(document["definitions"]["ServiceInput"]["example"]).encode(), JSON).status
        == 200
    )


def test_pydantic_models(serve) -> None:
    scoring = serve(PYDANTIC)

    assert scoring.score(b'{"data": {"inner": {"x": 1}, "more": [{"x": 1}]}}', JSON).json() == {"x": 2}
    refused = scoring.score(b'{"data": {"inner": {"x": 0}}}', JSON)
    assert (refused.status, refused.message) == (400, "data: inner.x: Input should be greater than 0")
    for version in ("2", "3", "3.1"):
        document = scoring.ask("GET", f"/swagger.json?version={version}").json()
        assert "$defs" not in json.dumps(document)
        assert '"exclusiveMinimum": ' in json.dumps(document)


@pytest.fixture(scope="module")
def of_numpy(serve_module) -> ScoringProcess:
    return serve_module(NUMPY)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"rows": [[1, 2], [3, 4]], "weights": [1, 0.5]}, 200, [2.0, 5.0]),
        ({"rows": [], "weights": [], "labels": [1, 2]}, 200, [1, 2]),
        ({"rows": 1, "weights": []}, 400, "rows: should be an array, not a number"),
        ({"rows": ["a"], "weights": []}, 400, "rows: should be an array of numbers of one shape"),
        ({"rows": [], "weights": ["a"]}, 400, "weights: could not convert string to float: 'a'"),
    ],
)
def test_numpy_arrays(of_numpy: ScoringProcess, body: object, status: int, said: object) -> None:
    answer = of_numpy.score(json.dumps(body).encode(), JSON)

    assert answer.status == status, of_numpy.log
    assert (answer.json() if status == 200 else answer.message) == said


def test_numpy_arrays_in_openapi(of_numpy: ScoringProcess) -> None:
    schemas = of_numpy.ask("GET", "/swagger.json?version=3.1").json()["components"]["schemas"]

    given = schemas["ServiceInput"]["properties"]
    assert given["rows"]["items"]["anyOf"][0] == {"type": "number"}
    assert given["labels"]["items"]["anyOf"][0] == {"type": "integer"}
    assert schemas["ServiceInput"]["required"] == ["rows", "weights"]
    assert schemas["ServiceOutput"]["type"] == "array"
    assert schemas["ServiceInput"]["example"]["labels"] == [[1, 1]], "null would be refused"


@pytest.mark.parametrize(
    ("version", "standard"),
    [("2", OpenAPIV2SpecValidator), ("3", OpenAPIV30SpecValidator), ("3.1", OpenAPIV31SpecValidator)],
)
@pytest.mark.parametrize(
    "driver", [DRIVER, PYDANTIC, NUMPY, PLAIN], ids=["types", "pydantic", "numpy", "plain"]
)
def test_openapi_is_as_its_standard_says(serve, driver: str, version: str, standard: type) -> None:
    document = serve(driver).ask("GET", f"/swagger.json?version={version}").json()

    assert [error.message for error in standard(document).iter_errors()] == []


@pytest.mark.parametrize(
    "run",
    [
        "def run(data: str): return data",
        "def run(data: 'Missing'): return data",
        "def run(data: object): return data",
    ],
)
def test_hints_that_say_nothing_leave_a_plain_driver(serve, run: str) -> None:
    assert serve(f"def init(): pass\n{run}\n").score(b"text").json() == "text"


def test_an_unknown_class_is_an_unknown_hint() -> None:
    with pytest.raises(UnknownHintError):
        hint_of(type("Own", (), {}))


def test_a_default_of_null_is_not_said_where_there_is_no_null() -> None:
    schema = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
    assert lowered(schema, "3") == {"type": "string", "nullable": True, "default": None}
    assert lowered(schema, "2") == {"type": "string", "x-nullable": True}


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("3.1", {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        ("3", {"type": "integer", "nullable": True}),
        ("2", {"type": "integer", "x-nullable": True}),
    ],
)
def test_null_in_older_words(version: str, expected: object) -> None:
    assert lowered({"anyOf": [{"type": "integer"}, {"type": "null"}]}, version) == expected
