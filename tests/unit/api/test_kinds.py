"""The types of the kinds accept good manifests and the chart's examples, and refuse bad manifests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError
from tests.api_cases.bad import BAD
from tests.api_cases.case import Bad, Good
from tests.api_cases.examples import example_id, examples
from tests.api_cases.good import GOOD

from modelyard.api.kinds import KINDS_BY_NAME


def _field(error: dict[str, object]) -> str:
    """Return the field of an error in the notation of the API server."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in error["loc"])
    return ("".join(steps) + error.get("ctx", {}).get("field", "")).removeprefix(".")


@pytest.mark.parametrize("case", BAD, ids=str)
def test_bad_manifest_is_refused_with_its_field(case: Bad) -> None:
    with pytest.raises(ValidationError):
        KINDS_BY_NAME[case.kind].resource.model_validate(case.manifest())
    with pytest.raises(ValidationError) as refused:  # messages about JSON name JSON's types: array, object
        KINDS_BY_NAME[case.kind].resource.model_validate_json(json.dumps(case.manifest()))
    errors = [(_field(error), error["msg"]) for error in refused.value.errors()]
    messages = [f"{field}: {message}" for field, message in errors if field == case.field]
    assert any(case.words.lower() in message.lower() for message in messages), errors


@pytest.mark.parametrize("case", GOOD, ids=str)
def test_good_manifest_is_accepted(case: Good) -> None:
    KINDS_BY_NAME[case.kind].resource.model_validate(case.manifest())


@pytest.mark.parametrize("case", GOOD, ids=str)
def test_json_form_of_a_good_manifest_parses_to_the_same_object(case: Good) -> None:
    resource = KINDS_BY_NAME[case.kind].resource.model_validate(case.manifest())
    assert type(resource).model_validate(resource.to_json()) == resource


def test_table_has_many_cases_and_no_duplicate() -> None:
    assert len(BAD) >= 50
    assert len(GOOD) >= 25
    assert len({json.dumps(case.manifest()) for case in (*BAD, *GOOD)}) == len(BAD) + len(GOOD)


@pytest.mark.parametrize("example", examples(), ids=example_id)
def test_example_of_the_chart_is_valid(example: dict[str, Any]) -> None:
    KINDS_BY_NAME[example["kind"]].resource.model_validate(example)


def test_every_kind_has_an_example() -> None:
    assert {example["kind"] for example in examples()} == set(KINDS_BY_NAME)
