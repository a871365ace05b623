"""The examples of the chart are valid and contain each kind."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api_cases.examples import example_id, examples

from modelyard.api.kinds import KINDS_BY_NAME


@pytest.mark.parametrize("example", examples(), ids=example_id)
def test_example_is_valid(example: dict[str, Any]) -> None:
    KINDS_BY_NAME[example["kind"]].resource.model_validate(example)


def test_every_kind_has_an_example() -> None:
    assert {example["kind"] for example in examples()} == set(KINDS_BY_NAME)
