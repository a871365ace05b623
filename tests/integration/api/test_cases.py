"""The API server judges the table as it says, and so as the types do."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api_cases.bad import BAD
from tests.api_cases.case import Bad, Good
from tests.api_cases.examples import examples, named
from tests.api_cases.good import GOOD
from tests.integration.api.conftest import Ask


@pytest.mark.parametrize("case", BAD, ids=str)
def test_bad_manifest_is_refused_and_the_field_named(case: Bad, ask: Ask) -> None:
    answer = ask(case.manifest())
    assert answer.status_code == 422, answer.text
    causes = answer.json()["details"]["causes"]
    said = [f"{cause['field']}: {cause['message']}" for cause in causes if cause["field"] == case.field]
    assert any(case.words.lower() in sentence.lower() for sentence in said), causes


@pytest.mark.parametrize("case", GOOD, ids=str)
def test_good_manifest_is_accepted(case: Good, ask: Ask) -> None:
    answer = ask(case.manifest())
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("example", examples(), ids=named)
def test_example_is_accepted(example: dict[str, Any], ask: Ask) -> None:
    answer = ask(example)
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"spec.replicas": 1}, "spec.replicas"),
        ({"spec.autoScaler.maxReplica": 1}, "spec.autoScaler.maxReplica"),
        ({"spec.image_id": "diabetes"}, "spec.image_id"),
    ],
)
def test_unknown_field_is_refused(change: dict[str, object], field: str, ask: Ask) -> None:
    answer = ask(Good("Service", change).manifest())
    assert answer.status_code == 400
    assert f'unknown field "{field}"' in answer.json()["message"]
