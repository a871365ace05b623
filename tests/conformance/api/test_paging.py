"""Pages of lists: complete, bounded, and stable while objects are added."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

import pytest
from tests.conformance.api.conftest import (
    Api,
    image,
    manifest,
    model,
    service,
)


@pytest.fixture(scope="module")
def prefix(api: Api) -> str:
    """The prefix of the names of seven models and manifests, and of two images and services."""
    prefix = f"page-{uuid.uuid4().hex[:8]}"
    for number in range(7):
        api.post("/models", model(f"{prefix}-{number}", tags=[prefix]))
        api.post("/manifests", manifest(f"{prefix}-{number}"))
    builds = [api.post("/images", image(f"{prefix}-{number}", f"{prefix}-0:1"), 202) for number in range(2)]
    assert api.finished(builds[0])["state"] == "Succeeded"
    for number in range(2):
        api.post("/services", service(f"{prefix}-{number}", f"{prefix}-0:1", numReplicas=0), 202)
    return prefix


def _follow(api: Api, page: Any) -> Any:
    assert page["nextLink"].startswith(api.root)
    return api.http.get(page["nextLink"]).raise_for_status().json()


@pytest.mark.parametrize("path", ["/models", "/manifests", "/images", "/services"])
@pytest.mark.parametrize("count", [1, 2, 3, 1000])
def test_pages_list_each_item_exactly_once(api: Api, prefix: str, path: str, count: int) -> None:
    whole = [item["id"] for item in api.get(path, count=1000)["value"]]
    assert [item["id"] for item in api.all(path, count=count)] == whole
    assert len(api.get(path, count=count)["value"]) == min(count, len(whole))


@pytest.mark.parametrize("filters", [{}, {"tag": "PREFIX"}])
def test_pages_are_stable_while_objects_are_added(api: Api, prefix: str, filters: dict[str, str]) -> None:
    filters = dict.fromkeys(filters, prefix)
    before = [item["id"] for item in api.all("/models", **filters)]
    page = api.get("/models", count=3, **filters)
    seen = [item["id"] for item in page["value"]]
    while "nextLink" in page:
        for name in (f"{prefix}-0", f"a{uuid.uuid4().hex[:6]}", f"z{uuid.uuid4().hex[:6]}"):
            api.post("/models", model(name, tags=[prefix]))
        page = _follow(api, page)
        seen += [item["id"] for item in page["value"]]
    assert len(seen) == len(set(seen))
    assert [id_ for id_ in seen if id_ in set(before)] == before


def test_last_page_has_no_link(api: Api, prefix: str) -> None:
    assert "nextLink" not in api.get("/models", tag=prefix, count=1000)
    page = api.get("/models", count=1)
    assert set(page) == {"value", "nextLink"}


@pytest.mark.parametrize("count", ["0", "-1", "1001", "many", "1.5", ""])
def test_count_is_bounded(api: Api, count: str) -> None:
    error = api("GET", "/models", 400, params={"count": count}).json()
    assert error["details"][0]["message"].startswith("count: ")


@pytest.mark.parametrize("token", ["", "x", "!!!", "WzEsMl0", "é", "e30", "x" * 9000])
@pytest.mark.parametrize("path", ["/models", "/manifests", "/images", "/services"])
def test_invalid_skip_token_is_rejected(api: Api, path: str, token: str) -> None:
    assert api("GET", path, 400, params={"$skipToken": token}).json()["code"] == "InvalidSkipToken"


def test_skip_token_of_another_list_is_rejected(api: Api, prefix: str) -> None:
    token = api.http.build_request("GET", api.get("/models", count=1)["nextLink"]).url.params["$skipToken"]
    for path, filters in (("/manifests", {}), ("/models", {"tag": prefix})):
        response = api("GET", path, 400, params={"$skipToken": token, **filters})
        assert response.json()["code"] == "InvalidSkipToken"


def test_forged_skip_token_is_rejected(api: Api) -> None:
    """The token is valid for the gateway, but not for the API server."""
    link = api.http.build_request("GET", api.get("/models", count=1)["nextLink"]).url
    token = link.params["$skipToken"]
    form, listing, _, after = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    forged = base64.urlsafe_b64encode(json.dumps([form, listing, "bm90", after]).encode()).decode()
    response = api("GET", "/models", 400, params={"$skipToken": forged})
    assert response.json()["code"] == "InvalidSkipToken"
