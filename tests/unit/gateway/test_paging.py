"""Pages of lists: their cost, and a list whose snapshot has expired."""

from __future__ import annotations

import base64
from typing import Any

import httpx
from tests.unit.gateway.conftest import Api, model

from modelyard.api.owners import Owner
from modelyard.kube.errors import Gone
from modelyard.kube.types import REVISIONS
from modelyard.resources.revision import controller_revision

_COUNT = 100


async def _fill(api: Api, versions: int) -> None:
    """Make a model with `versions` versions, recorded as the operator records them."""
    await api.post("/models", model())
    uid = api.harness.cluster.all(REVISIONS)[0]["metadata"]["ownerReferences"][0]["uid"]
    for number in range(2, versions + 1):
        data = {"url": f"https://h/{number}", "mimeType": "text/plain"}
        api.harness.cluster.put(
            REVISIONS, "default", controller_revision(Owner("Model", "m", uid), number, data, {})
        )


async def _follow(api: Api, page: Any) -> Any:
    headers = {"Authorization": "Bearer editor"}
    response = await api.http.get(page["nextLink"], headers=headers)
    assert response.status_code == httpx.codes.OK, response.text
    return response.json()


async def test_page_costs_one_call_anywhere_in_the_list(api: Api) -> None:
    await _fill(api, 1000)
    page = await api.get("/models", count=_COUNT)
    ids = [item["id"] for item in page["value"]]
    while "nextLink" in page:
        api.server.requests.clear()
        page = await _follow(api, page)
        ids += [item["id"] for item in page["value"]]
        assert len(page["value"]) == _COUNT
        assert len(api.server.requests) == 1
    assert len(ids) == len(set(ids)) == 1000


async def test_list_continues_after_its_snapshot_has_expired(api: Api) -> None:
    await _fill(api, 30)
    page = await api.get("/models", count=10)
    ids = [item["id"] for item in page["value"]]
    expired = 0

    def expire(method: str, path: str) -> None:
        nonlocal expired
        if path.endswith(f"/{REVISIONS.plural}") and not expired:
            expired += 1
            after = f"model-{ids[-1].replace(':', '-')}"
            resumed = "c" + base64.b64encode(after.encode()).decode()
            raise Gone("the continue token is too old", status=410, body={"metadata": {"continue": resumed}})

    api.server.before = expire
    while "nextLink" in page:
        page = await _follow(api, page)
        ids += [item["id"] for item in page["value"]]
    assert expired == 1
    assert len(ids) == len(set(ids)) == 30
