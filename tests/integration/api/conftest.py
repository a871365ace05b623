"""A fixture that asks the API server whether a manifest is valid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from modelyard.api.kinds import KINDS_BY_NAME
from modelyard.api.names import API_VERSION

DryRun = Callable[[dict[str, Any]], httpx.Response]


@pytest.fixture(scope="session")
def dry_run(api: httpx.Client, crds: None) -> DryRun:
    """Create an object with dryRun and strict field validation, as kubectl validates; nothing is stored."""

    def post(manifest: dict[str, Any]) -> httpx.Response:
        return api.post(
            f"/apis/{API_VERSION}/namespaces/default/{KINDS_BY_NAME[manifest['kind']].plural}",
            params={"dryRun": "All", "fieldValidation": "Strict"},
            json=manifest,
        )

    return post
