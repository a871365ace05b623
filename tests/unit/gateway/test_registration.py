"""Many clients that register one name: each gets a version of its own, in spite of faults."""

from __future__ import annotations

import asyncio
import contextlib

import httpx
import pytest
from tests.unit.gateway.conftest import Api, model

from modelyard.api.names import REGISTRATION
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.errors import Unavailable
from modelyard.kube.types import REVISIONS


async def test_concurrent_registrations_get_versions_of_their_own(api: Api) -> None:
    responses = await asyncio.gather(*(api.post("/models", model(url=f"https://h/{n}")) for n in range(20)))
    assert sorted(response["version"] for response in responses) == list(range(1, 21))
    assert [response["url"] for response in responses] == [f"https://h/{n}" for n in range(20)]
    assert len(api.harness.cluster.all(REVISIONS)) == 20


async def test_registration_survives_other_writers(api: Api) -> None:
    """kubectl overwrites the object before the operator has recorded it."""
    await api.post("/models", model())
    times = 0

    def overwrite(method: str, path: str) -> None:
        nonlocal times
        if method == "PATCH" and times < 3:
            times += 1
            api.harness.cluster.change(
                CUSTOM_RESOURCES["Model"], "default", "m",
                {"metadata": {"annotations": {REGISTRATION: None}}, "spec": {"url": f"https://k/{times}"}},
            )  # fmt: skip

    api.server.after = overwrite
    response = await api.post("/models", model(url="https://h/2"))
    assert response["url"] == "https://h/2"
    urls = [body["data"]["url"] for body in api.harness.cluster.all(REVISIONS)]
    assert urls.count("https://h/2") == 1
    assert times


@pytest.mark.parametrize("verb", ["POST", "PATCH"])
async def test_write_with_a_lost_response_is_not_repeated(api: Api, verb: str) -> None:
    if verb == "PATCH":
        await api.post("/models", model())
    lost = 0

    def lose(method: str, path: str) -> None:
        nonlocal lost
        if method == verb and not lost:
            lost += 1
            raise Unavailable("the connection broke")

    api.server.after = lose
    response = await api.post("/models", model(url="https://h/2"))
    assert lost == 1
    assert response["version"] == (2 if verb == "PATCH" else 1)
    assert len(api.harness.cluster.all(REVISIONS)) == response["version"]


async def test_killed_gateway_leaves_at_most_one_version(api: Api) -> None:
    """The gateway is killed after each of the first twelve calls of a POST."""
    for point in range(12):
        calls = 0

        def kill(method: str, path: str, point: int = point) -> None:
            nonlocal calls
            calls += 1
            if calls > point:
                raise asyncio.CancelledError

        api.server.before = kill
        url = f"https://h/{point}"
        with contextlib.suppress(asyncio.CancelledError, httpx.HTTPError):
            await api.http.post(
                "http://gateway/api/subscriptions/s/resourceGroups/g/accounts/default/models",
                params={"api-version": "2017-09-01-preview"},
                headers={"Authorization": "Bearer editor"},
                json=model(url=url),
            )
        api.server.before = lambda method, path: None
        last = await api.post("/models", model(url="https://h/last"))
        urls = [body["data"]["url"] for body in api.harness.cluster.all(REVISIONS)]
        assert urls.count(url) <= 1
        assert last["version"] == len(urls)


async def test_registration_without_an_operator_times_out(api: Api) -> None:
    await api.harness.stop()
    api.waits.timeout_after = 20
    response = await api("POST", "/models", 503, json=model())
    assert response.json()["code"] == "NotRecorded"
    assert response.headers["Retry-After"]
    busy = await api("POST", "/models", 503, json=model(url="https://h/2"))
    assert busy.json()["code"] == "Busy"
    api.waits.timeout_after = None
    await api.harness.start()
    await api.harness.settle()
    assert [item["url"] for item in (await api.get("/models"))["value"]] == ["https://h/1"]
    assert (await api.post("/models", model(url="https://h/2")))["version"] == 2


async def test_name_of_an_object_with_another_display_name_is_taken(api: Api) -> None:
    api.harness.cluster.apply(
        {
            "kind": "Model",
            "metadata": {"name": "m"},
            "spec": {"name": "Other", "url": "https://h/1", "mimeType": "a/b"},
        }
    )
    await api.harness.settle()
    response = await api("POST", "/models", 409, json=model())
    assert response.json()["code"] == "NameTaken"
