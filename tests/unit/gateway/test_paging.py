"""Pages: each costs the same, and a listing whose snapshot has gone goes on."""

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
    """A model with that many versions, recorded as the operator records them."""
    await api.post("/models", model())
    uid = api.harness.cluster.all(REVISIONS)[0]["metadata"]["ownerReferences"][0]["uid"]
    for number in range(2, versions + 1):
        data = {"url": f"https://h/{number}", "mimeType": "text/plain"}
        api.harness.cluster.put(
            REVISIONS, "default", controller_revision(Owner("Model", "m", uid), number, data, {})
        )


async def _follow(api: Api, page: Any) -> Any:
    headers = {"Authorization": "Bearer editor"}
    answer = await api.http.get(page["nextLink"], headers=headers)
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer.json()


async def test_a_page_costs_one_call_wherever_it_is(api: Api) -> None:
    await _fill(api, 1000)
    page = await api.get("/models", count=_COUNT)
    seen = [item["id"] for item in page["value"]]
    while "nextLink" in page:
        api.server.sent.clear()
        page = await _follow(api, page)
        seen += [item["id"] for item in page["value"]]
        assert len(page["value"]) == _COUNT
        assert len(api.server.sent) == 1
    assert len(seen) == len(set(seen)) == 1000


async def test_a_snapshot_that_has_gone(api: Api) -> None:
    """The API server no longer knows the collection as it was: the listing goes on with what there is."""
    await _fill(api, 30)
    page = await api.get("/models", count=10)
    seen = [item["id"] for item in page["value"]]
    gone = 0

    def forget(method: str, path: str) -> None:
        nonlocal gone
        if path.endswith(f"/{REVISIONS.plural}") and not gone:
            gone += 1
            after = f"model-{seen[-1].replace(':', '-')}"
            resumed = "c" + base64.b64encode(after.encode()).decode()
            raise Gone("the continue token is too old", status=410, body={"metadata": {"continue": resumed}})

    api.server.fault = forget
    while "nextLink" in page:
        page = await _follow(api, page)
        seen += [item["id"] for item in page["value"]]
    assert gone == 1
    assert len(seen) == len(set(seen)) == 30
