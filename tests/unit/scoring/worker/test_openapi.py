"""JSON schema in the dialects of OpenAPI versions."""

import pytest

from modelyard.scoring.worker.openapi import lowered


def test_default_of_null_is_left_out_of_openapi_2() -> None:
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
def test_null_becomes_the_nullable_of_each_version(version: str, expected: object) -> None:
    assert lowered({"anyOf": [{"type": "integer"}, {"type": "null"}]}, version) == expected
