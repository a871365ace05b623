"""Manifests: their versions follow their Models."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.operator_harness import (
    OperatorHarness,
)


@pytest.mark.parametrize(
    ("changes", "version"),
    [({"description": "x"}, 1), ({"modelIds": ["m:1"]}, 1), ({"modelIds": []}, 2), ({"name": "x"}, 2)],
    ids=str,
)
async def test_change_of_manifest_content_creates_a_version(
    serving: OperatorHarness, changes: dict[str, Any], version: int
) -> None:
    serving.change("Manifest", **changes)
    await serving.play()
    assert serving.summary("Manifest")[0] == f"m:{version}"
