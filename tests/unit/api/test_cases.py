"""The types judge the table as it says."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError
from tests.api_cases.bad import BAD
from tests.api_cases.case import Bad, Good
from tests.api_cases.good import GOOD

from modelyard.api.kinds import KINDS_BY_NAME


def _field(error: dict[str, object]) -> str:
    """The path that an error blames, as the API server writes it."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in error["loc"])
    return ("".join(steps) + error.get("ctx", {}).get("field", "")).removeprefix(".")


@pytest.mark.parametrize("case", BAD, ids=str)
def test_bad_manifest_is_refused_and_the_field_named(case: Bad) -> None:
    with pytest.raises(ValidationError):
        KINDS_BY_NAME[case.kind].resource.model_validate(case.manifest())
    with pytest.raises(ValidationError) as refused:  # in the words of JSON: array, object
        KINDS_BY_NAME[case.kind].resource.model_validate_json(json.dumps(case.manifest()))
    errors = [(_field(error), error["msg"]) for error in refused.value.errors()]
    said = [f"{field}: {sentence}" for field, sentence in errors if field == case.field]
    assert any(case.words.lower() in sentence.lower() for sentence in said), errors


@pytest.mark.parametrize("case", GOOD, ids=str)
def test_good_manifest_is_accepted(case: Good) -> None:
    KINDS_BY_NAME[case.kind].resource.model_validate(case.manifest())


@pytest.mark.parametrize("case", GOOD, ids=str)
def test_wire_form_of_a_good_manifest_means_the_same(case: Good) -> None:
    resource = KINDS_BY_NAME[case.kind].resource.model_validate(case.manifest())
    assert type(resource).model_validate(resource.to_json()) == resource


def test_table_is_large_and_every_case_is_different() -> None:
    assert len(BAD) >= 50
    assert len(GOOD) >= 25
    assert len({json.dumps(case.manifest()) for case in (*BAD, *GOOD)}) == len(BAD) + len(GOOD)
