"""Server-side apply, by which Flux and `kubectl apply --server-side` write objects."""

from __future__ import annotations

from typing import Any, Final

import httpx
import pytest
from tests.api_cases.case import Good

from modelyard.api.kinds import KINDS_BY_NAME
from modelyard.api.names import API_VERSION

LAST_KEYS: Final = [
    ("Manifest", "spec.targetRuntime.properties", {"pipRequirements": "numpy"}),
    ("Service", "spec.dataCollection", {"storageEnabled": False}),
    ("Service", "spec.containerResourceReservation", {"cpu": "1"}),
]


@pytest.mark.parametrize(("kind", "path", "value"), LAST_KEYS, ids=[path for _, path, _ in LAST_KEYS])
@pytest.mark.usefixtures("crds")
def test_last_key_of_a_map_is_removed(
    kind: str, path: str, value: dict[str, Any], api: httpx.Client, namespace: str
) -> None:
    for change in (value, {}):
        body = Good(kind, {path: change}).manifest()
        found = api.patch(
            f"/apis/{API_VERSION}/namespaces/{namespace}/{KINDS_BY_NAME[kind].plural}/applied",
            params={"fieldManager": "test"},
            headers={"Content-Type": "application/apply-patch+yaml"},
            json=body | {"metadata": {"name": "applied"}},
        )
        assert found.is_success, found.text
        node = found.json()
        for key in path.split("."):
            node = node[key]
        assert node == change
