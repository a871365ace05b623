"""Pages of lists: their cost, and a list whose snapshot has expired."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx
import pytest
from tests.unit.gateway.conftest import Api, image, manifest, model

from modelyard.api.owners import Owner
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.gateway import paging, request_context
from modelyard.gateway.routes import deployments
from modelyard.kube.errors import Gone
from modelyard.kube.types import REVISIONS
from modelyard.resources.revision import controller_revision

_COUNT = 100
_SERVICES = CUSTOM_RESOURCES["Service"]


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


async def test_page_of_large_items_ends_after_4_mib(api: Api) -> None:
    await api.post("/manifests", manifest())
    uid = api.harness.cluster.all(REVISIONS)[0]["metadata"]["ownerReferences"][0]["uid"]
    data = api.harness.cluster.all(REVISIONS)[0]["data"]
    for number in range(2, 25):
        data = data | {"assets": [{"id": "driver", "content": "x" * 500_000}]}
        body = controller_revision(Owner("Manifest", "m", uid), number, data, {})
        api.harness.cluster.put(REVISIONS, "default", body)
    page = await api.get("/manifests", count=300)
    ids, sizes = [item["id"] for item in page["value"]], [len(page["value"])]
    while "nextLink" in page:
        page = await _follow(api, page)
        ids += [item["id"] for item in page["value"]]
        sizes.append(len(page["value"]))
    assert len(ids) == len(set(ids)) == 24
    assert max(sizes) <= 10


async def test_images_of_large_manifests_count_with_their_manifests(api: Api) -> None:
    await api.post("/manifests", manifest(assets=[{"id": "driver", "content": "x" * 500_000}]))
    for number in range(12):
        await api.post("/images", image(f"i{number}"), 202)
    page = await api.get("/images", count=300)
    assert len(page["value"]) == 9
    assert len((await _follow(api, page))["value"]) == 3


async def test_lists_of_all_callers_take_turns(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await _fill(api, 10)
    running = most = 0
    collect = paging.collect

    async def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        found = await collect(*arguments, **options)
        running -= 1
        return found

    monkeypatch.setattr(paging, "collect", counted)
    await asyncio.gather(*(api.get("/models", count=2) for _ in range(10)))
    assert most == 3


async def test_list_without_a_slot_in_time_gets_503(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await _fill(api, 1)
    monkeypatch.setattr(request_context, "_LIST_WAIT_SECONDS", 0)
    collect, released = paging.collect, asyncio.Event()
    running = 0

    async def held(*arguments: Any, **options: Any) -> Any:
        nonlocal running
        running += 1
        await released.wait()
        return await collect(*arguments, **options)

    monkeypatch.setattr(paging, "collect", held)
    lists = [asyncio.create_task(api.get("/models")) for _ in range(3)]
    while running < 3:
        await asyncio.sleep(0)
    response = await api("GET", "/models", 503)
    assert (response.json()["code"], response.headers["retry-after"]) == ("Busy", "1")
    released.set()
    await asyncio.gather(*lists)


async def test_too_many_deployments_ask_for_a_service_id(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {**_SERVICES.header(), "metadata": {"name": "s"}, "spec": {"imageId": "i:1"}}
    owner = Owner("Service", "s", api.harness.cluster.put(_SERVICES, "default", body)["metadata"]["uid"])
    for number in range(2, 5):
        body = controller_revision(owner, number, {"imageId": f"i:{number}"}, {})
        api.harness.cluster.put(REVISIONS, "default", body)
    assert len(await api.get("/deployments")) == 3
    monkeypatch.setattr(deployments, "_MAX_BYTES", 200)
    response = await api("GET", "/deployments", 400)
    assert response.json()["code"] == "TooManyDeployments"
