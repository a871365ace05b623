"""The rows of the reference: a response of another test must cover each of them."""

from __future__ import annotations

import pytest
from tests.conformance.api.reference import rows
from tests.conformance.api.reference_checker import ReferenceChecker


@pytest.mark.parametrize("row", [*rows()])
def test_row_is_covered(row: str, checker: ReferenceChecker) -> None:
    assert row in checker.covered_rows
