"""The table: each row was seen to work in some exchange of the other tests."""

from __future__ import annotations

import pytest
from tests.conformance.api.reference import rows
from tests.conformance.api.seen import Seen


@pytest.mark.parametrize("row", [*rows()])
def test_row(row: str, seen: Seen) -> None:
    assert row in seen.rows
