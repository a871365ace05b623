"""The watcher of build logs: it reports the push, and reconnects after a connection broke."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from modelyard.backoff import Backoff
from modelyard.kube.errors import KubeError, NotFound, Unavailable
from modelyard.reconcile.builds.log_watcher import BuildLogWatcher

PUSHED = f"[Push] pushed r.example/m:t, sha256:{'0' * 64}"
NO_WAIT = Backoff(first_seconds=0.0, most_seconds=0.0)


class FakeLogs:
    """A Kubernetes client with one response for each request of a log: lines, or an error."""

    def __init__(self, *responses: list[str] | KubeError) -> None:
        self.responses = list(responses)
        self.requested: list[str] = []
        self.closed = 0
        self.live: asyncio.Queue[str] | None = None  # further lines of a log that does not end

    async def log_lines(self, namespace: str, pod: str, **query: str) -> AsyncGenerator[str, None]:
        self.requested.append(pod)
        response = self.responses.pop(0)
        try:
            if isinstance(response, KubeError):
                raise response
            for line in response:
                yield line
            while self.live:
                yield await self.live.get()
        finally:
            self.closed += 1


class Watched:
    """A watcher and the Jobs whose push it reported."""

    def __init__(self, client: FakeLogs) -> None:
        self.pushed: list[str] = []
        self.watcher = BuildLogWatcher(client, "system", self.pushed.append, NO_WAIT)  # type: ignore[arg-type]

    async def watch_to_end(self) -> None:
        self.watcher.watch("p", "j")
        while self.watcher._watches:
            await asyncio.sleep(0)


async def test_push_is_reported_while_the_log_is_open() -> None:
    client = FakeLogs(["[Fetch] model"])
    client.live = asyncio.Queue()
    watched = Watched(client)
    client.live.put_nowait("[Push] model m:1: 40 MiB sent")
    client.live.put_nowait(PUSHED)
    await watched.watch_to_end()
    assert watched.pushed == ["j"]
    assert client.closed == 1


async def test_log_of_a_pod_is_read_once_at_a_time() -> None:
    client = FakeLogs([])
    client.live = asyncio.Queue()
    watched = Watched(client)
    for _ in range(3):
        watched.watcher.watch("p", "j")
        await asyncio.sleep(0)
    assert client.requested == ["p"]
    await watched.watcher.close()
    assert client.closed == 1
    assert watched.pushed == []


async def test_broken_connection_is_opened_again() -> None:
    client = FakeLogs(Unavailable("gone"), Unavailable("gone"), [PUSHED])
    watched = Watched(client)
    await watched.watch_to_end()
    assert watched.pushed == ["j"]
    assert client.requested == ["p"] * 3


@pytest.mark.parametrize("response", [NotFound("gone"), ["[Push] TagExists: no"]], ids=["deleted", "ended"])
async def test_log_that_ended_is_not_read_again(response: list[str] | KubeError) -> None:
    client = FakeLogs(response)
    watched = Watched(client)
    await watched.watch_to_end()
    assert watched.pushed == []
    assert client.requested == ["p"]
