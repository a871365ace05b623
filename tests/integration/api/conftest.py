"""A question to the API server: would it take this object?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from modelyard.api.kinds import KINDS_BY_NAME
from modelyard.api.names import API_VERSION

Ask = Callable[[dict[str, Any]], httpx.Response]


@pytest.fixture(scope="session")
def ask(api: httpx.Client, crds: None) -> Ask:
    """The answer to a create that is not carried out, as strict as kubectl's; nothing is written."""

    def post(manifest: dict[str, Any]) -> httpx.Response:
        return api.post(
            f"/apis/{API_VERSION}/namespaces/default/{KINDS_BY_NAME[manifest['kind']].plural}",
            params={"dryRun": "All", "fieldValidation": "Strict"},
            json=manifest,
        )

    return post
