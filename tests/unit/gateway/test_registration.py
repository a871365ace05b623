"""Many clients, one name: each gets a version of its own, whatever happens in between."""

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


async def test_twenty_at_once(api: Api) -> None:
    answers = await asyncio.gather(*(api.post("/models", model(url=f"https://h/{n}")) for n in range(20)))
    assert sorted(answer["version"] for answer in answers) == list(range(1, 21))
    assert [answer["url"] for answer in answers] == [f"https://h/{n}" for n in range(20)]
    assert len(api.harness.cluster.all(REVISIONS)) == 20


async def test_somebody_else_writes_in_between(api: Api) -> None:
    """kubectl overwrites what was registered before the operator has seen it."""
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

    api.server.lost = overwrite
    answer = await api.post("/models", model(url="https://h/2"))
    assert answer["url"] == "https://h/2"
    urls = [body["data"]["url"] for body in api.harness.cluster.all(REVISIONS)]
    assert urls.count("https://h/2") == 1
    assert times


@pytest.mark.parametrize("verb", ["POST", "PATCH"])
async def test_an_answer_that_is_lost(api: Api, verb: str) -> None:
    """The write got through, its answer did not: it is not written again."""
    if verb == "PATCH":
        await api.post("/models", model())
    lost = 0

    def lose(method: str, path: str) -> None:
        nonlocal lost
        if method == verb and not lost:
            lost += 1
            raise Unavailable("the connection broke")

    api.server.lost = lose
    answer = await api.post("/models", model(url="https://h/2"))
    assert lost == 1
    assert answer["version"] == (2 if verb == "PATCH" else 1)
    assert len(api.harness.cluster.all(REVISIONS)) == answer["version"]


async def test_a_gateway_that_is_killed(api: Api) -> None:
    """At any point of a POST: at most one version, and the next client goes on."""
    for point in range(12):
        calls = 0

        def kill(method: str, path: str, point: int = point) -> None:
            nonlocal calls
            calls += 1
            if calls > point:
                raise asyncio.CancelledError

        api.server.fault = kill
        url = f"https://h/{point}"
        with contextlib.suppress(asyncio.CancelledError, httpx.HTTPError):
            await api.http.post(
                "http://gateway/api/subscriptions/s/resourceGroups/g/accounts/default/models",
                params={"api-version": "2017-09-01-preview"},
                headers={"Authorization": "Bearer editor"},
                json=model(url=url),
            )
        api.server.fault = lambda method, path: None
        last = await api.post("/models", model(url="https://h/last"))
        urls = [body["data"]["url"] for body in api.harness.cluster.all(REVISIONS)]
        assert urls.count(url) <= 1
        assert last["version"] == len(urls)


async def test_an_operator_that_is_away(api: Api) -> None:
    await api.harness.stop()
    answer = await api("POST", "/models", 503, json=model())
    assert answer.json()["code"] == "NotRecorded"
    assert answer.headers["Retry-After"]
    busy = await api("POST", "/models", 503, json=model(url="https://h/2"))
    assert busy.json()["code"] == "Busy"
    await api.harness.start()
    await api.harness.settle()
    assert [item["url"] for item in (await api.get("/models"))["value"]] == ["https://h/1"]
    assert (await api.post("/models", model(url="https://h/2")))["version"] == 2


async def test_a_name_with_another_display_name(api: Api) -> None:
    api.harness.cluster.apply(
        {
            "kind": "Model",
            "metadata": {"name": "m"},
            "spec": {"name": "Other", "url": "https://h/1", "mimeType": "a/b"},
        }
    )
    await api.harness.settle()
    answer = await api("POST", "/models", 409, json=model())
    assert answer.json()["code"] == "NameTaken"
