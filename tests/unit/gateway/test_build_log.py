"""The log of a build, streamed while it grows."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.unit.gateway.conftest import ROOT, Api, image, manifest
from tests.unit.operator_harness import SYSTEM

from modelyard.gateway.build_log import new_text, read_log, stream_log
from modelyard.gateway.request_context import API_VERSIONS, AppState, RequestContext
from modelyard.gateway.settings import GatewaySettings
from modelyard.kube.errors import Unavailable, from_status
from modelyard.kube.types import CONFIG_MAPS, JOBS, PODS, REVISIONS, Json
from modelyard.reconcile.builds.build_log import POLL_SECONDS
from modelyard.resources.build_job import CONTAINER

LOG = "/images/m:1/log"


class Build:
    """An image whose build runs, with a pod that writes a log."""

    def __init__(self, api: Api):
        self.api = api

    async def start(self, status: Json | None = None) -> None:
        await self.api.post("/manifests", manifest())
        await self.api.post("/images", image(), 202)
        await self.api.harness.settle()
        cluster = self.api.harness.cluster
        (job,) = (body["metadata"]["name"] for body in cluster.all(JOBS))
        self.pod = f"{job}-running"
        metadata = {"name": self.pod, "labels": {"batch.kubernetes.io/job-name": job}}
        running = {"phase": "Running", "containerStatuses": [{"name": CONTAINER, "state": {"running": {}}}]}
        cluster.put(PODS, SYSTEM, {**PODS.header(), "metadata": metadata})["status"] = status or running
        cluster.logs[self.pod] = ""

    async def write_line(self, line: str) -> None:
        self.api.harness.cluster.logs[self.pod] += f"{line}\n"
        await self.api.harness.play(POLL_SECONDS + 1, alone=True)


@pytest.fixture
async def build(api: Api) -> Build:
    build = Build(api)
    await build.start()
    return build


async def lines_of(api: Api, *script: str, build: Build) -> AsyncIterator[str]:
    """Yield the pieces of the log; the build writes one line of the script before each further piece."""
    state = AppState(GatewaySettings(), api.client, api.waits.sleep)
    context = RequestContext(state, api.client.with_token("editor"), "default", ROOT, API_VERSIONS[0])
    version = await context.revision("image-m-1")
    assert version
    left = list(script)
    async for piece in stream_log(context, version, await read_log(context, version)):
        yield piece
        if left:
            await build.write_line(left.pop(0))
        else:
            await api.harness.play()


async def test_log_streams_while_the_build_runs(api: Api, build: Build) -> None:
    pieces = [piece async for piece in lines_of(api, "[Fetch] a", "[Build] b", "[Push] c", build=build)]
    assert pieces[0].startswith("building m:1 in Job ")
    assert pieces[1:4] == ["[Fetch] a\n", "[Build] b\n", "[Push] c\n"]
    assert (await api.get("/operations/image-m-1"))["state"] == "Succeeded"


async def test_log_begins_with_the_reason_why_a_pod_is_pending(api: Api) -> None:
    no_room = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    build = Build(api)
    await build.start({"phase": "Pending", "conditions": [no_room]})
    await api.harness.play(POLL_SECONDS + 1, alone=True)
    pieces = [piece async for piece in lines_of(api, build=build)]
    assert "0/1 nodes" in pieces[0]


async def test_log_needs_the_token_of_a_caller(api: Api, build: Build) -> None:
    await build.write_line("[Fetch] a")
    running = await api.get("/images/m:1")
    assert running["creationState"] == "Running"
    await api("GET", LOG, 401, token="nobody")
    await api.harness.play()
    response = await api.http.get(running["imageBuildLogUri"], headers={"Authorization": "Bearer viewer"})
    assert response.status_code == 200
    assert response.text
    assert (await api.get("/images/m:1"))["imageBuildLogUri"] == running["imageBuildLogUri"]


async def test_caller_without_the_right_to_read_config_maps_gets_an_error(api: Api, build: Build) -> None:
    def fail(method: str, path: str) -> None:
        if f"/{CONFIG_MAPS.plural}/" in path:
            raise from_status(403, {"message": "configmaps is forbidden"}, None)

    api.server.before = fail
    assert (await api("GET", LOG, 403)).json()["code"] == "Forbidden"


async def test_stream_survives_an_unavailable_api_server(api: Api, build: Build) -> None:
    await build.write_line("[Fetch] a")
    failures = [Unavailable("gone", status=503)] * 5
    pieces = []
    async for piece in lines_of(api, "[Push] b", build=build):
        pieces.append(piece)

        def fail(method: str, path: str) -> None:
            if f"/{REVISIONS.plural}/" in path and failures:
                raise failures.pop()

        api.server.before = fail
    assert pieces[:2] == ["[Fetch] a\n", "[Push] b\n"]
    assert not failures


async def test_stream_ends_with_a_message_when_the_token_expires(api: Api, build: Build) -> None:
    await build.write_line("[Fetch] a")
    pieces = []
    async for piece in lines_of(api, "[Push] b", build=build):
        pieces.append(piece)

        def fail(method: str, path: str) -> None:
            raise from_status(401, {"message": "Unauthorized"}, None)

        api.server.before = fail
    assert pieces == ["[Fetch] a\n", "\nthe token is not valid, or has expired: sign in again\n"]


@pytest.mark.parametrize(
    ("sent", "log", "expected"),
    [
        ("", "a\n", "a\n"),
        ("a\n", "a\n", ""),
        ("a\n", "a\nb\n", "b\n"),
        ("x" * 3000 + "a\n", "x" * 1500 + "a\nb\n", "b\n"),  # the operator cut off the beginning
        ("attempt 1\n", "attempt 2\n", "attempt 2\n"),
    ],
)
def test_new_text_follows_the_text_already_sent(sent: str, log: str, expected: str) -> None:
    assert new_text(sent, log) == expected
