"""The API server accepts and refuses the same manifests as the API types."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api_cases.bad import BAD
from tests.api_cases.case import Bad, Good
from tests.api_cases.examples import example_id, examples
from tests.api_cases.good import GOOD
from tests.integration.api.conftest import DryRun


@pytest.mark.parametrize("case", BAD, ids=str)
def test_bad_manifest_is_refused_with_its_field(case: Bad, dry_run: DryRun) -> None:
    response = dry_run(case.manifest())
    assert response.status_code == 422, response.text
    causes = response.json()["details"]["causes"]
    messages = [f"{cause['field']}: {cause['message']}" for cause in causes if cause["field"] == case.field]
    assert any(case.words.lower() in message.lower() for message in messages), causes


@pytest.mark.parametrize("case", GOOD, ids=str)
def test_good_manifest_is_accepted(case: Good, dry_run: DryRun) -> None:
    response = dry_run(case.manifest())
    assert response.status_code == 201, response.text


@pytest.mark.parametrize("example", examples(), ids=example_id)
def test_example_is_accepted(example: dict[str, Any], dry_run: DryRun) -> None:
    response = dry_run(example)
    assert response.status_code == 201, response.text


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"spec.replicas": 1}, "spec.replicas"),
        ({"spec.autoScaler.maxReplica": 1}, "spec.autoScaler.maxReplica"),
        ({"spec.image_id": "diabetes"}, "spec.image_id"),
    ],
)
def test_unknown_field_is_refused(change: dict[str, object], field: str, dry_run: DryRun) -> None:
    response = dry_run(Good("Service", change).manifest())
    assert response.status_code == 400
    assert f'unknown field "{field}"' in response.json()["message"]
