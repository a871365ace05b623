"""A watch that stays alive: news, what went while it was away, an API server that is down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.unit.clock import Clock
from tests.unit.fake_api_server import (
    Call,
    FakeApiServer,
)

from modelyard.kube.errors import Gone, Rejected, Unavailable
from modelyard.kube.reflector import Reflector
from modelyard.kube.types import SECRETS, ApiResource, Json

LABELS = {"of": "us"}


class Watched:
    """A reflector of Secrets and what it told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cluster = FakeApiServer(Clock())
        self.told: list[tuple[str, bool]] = []
        self.bodies: list[Json] = []
        self.seconds = 0.0
        self.waits: list[float] = []
        self.reflector = Reflector(
            self.cluster,
            SECRETS,
            self._hear,
            selector="of=us",
            metadata_only=True,
            monotonic=lambda: self.seconds,
        )
        self._sleep = asyncio.sleep
        monkeypatch.setattr("modelyard.kube.reflector.asyncio.sleep", self._wait)

    def _hear(self, _: ApiResource, body: Json, deleted: bool) -> None:
        self.told.append((body["metadata"]["name"], deleted))
        self.bodies.append(body)

    async def _wait(self, seconds: float) -> None:
        if seconds:
            self.waits.append(seconds)
        await self._sleep(0)

    def put(self, name: str, **labels: str) -> None:
        body = {"metadata": {"name": name, "labels": labels or LABELS}, "data": {"key": "secret"}}
        self.cluster.put(SECRETS, "default", body)

    async def rest(self) -> list[tuple[str, bool]]:
        """What was told since the last time."""
        for _ in range(60):
            await self._sleep(0)
        told, self.told = self.told, []
        return told


@pytest.fixture
async def watched(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
    watched = Watched(monkeypatch)
    watched.put("a")
    watched.put("b")
    task = asyncio.create_task(watched.reflector.run())
    await asyncio.wait_for(watched.reflector.synced.wait(), 5)
    assert await watched.rest() == [("a", False), ("b", False)]
    yield watched
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def failing(*errors: Exception, verb: str = "watch") -> Callable[[int, Call], None]:
    left = list(errors)

    def fault(_: int, call: Call) -> None:
        if left and call.verb == verb:
            raise left.pop(0)

    return fault


async def test_changes_are_told_and_only_metadata_is_seen(watched: Watched) -> None:
    watched.put("c")
    watched.put("foreign", of="others")
    watched.cluster.remove(SECRETS, "default", "a")
    assert await watched.rest() == [("c", False), ("a", True)]
    assert all("data" not in body for body in watched.bodies)


async def test_a_watch_that_ends_goes_on_where_it_was(watched: Watched) -> None:
    watched.cluster.hang_up()
    watched.put("c")
    assert await watched.rest() == [("c", False)]
    assert [call.verb for call in watched.cluster.calls] == ["list", "watch", "watch"]


async def test_an_expired_version_is_listed_again_and_what_went_is_told(watched: Watched) -> None:
    watched.cluster.hang_up()
    watched.cluster.remove(SECRETS, "default", "a")
    watched.put("c")
    watched.cluster.compact()
    assert await watched.rest() == [("b", False), ("c", False), ("a", True)]
    watched.put("d")
    assert await watched.rest() == [("d", False)]


@pytest.mark.parametrize("error", [Unavailable("down"), Rejected("no right to watch")], ids=repr)
async def test_while_it_fails_it_waits_longer_each_time(watched: Watched, error: Exception) -> None:
    watched.cluster.fault = failing(*[error] * 9)
    watched.cluster.hang_up()
    watched.put("c")
    assert await watched.rest() == [("c", False)]
    bounds = [min(0.5 * 2**n, 30) for n in range(9)]
    assert len(watched.waits) == 9
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(watched.waits, bounds, strict=True))


async def test_a_watch_that_breaks_after_it_worked_waits_as_for_a_first_failure(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = watched.cluster.watch

    async def breaks(*given: Any, **named: Any) -> AsyncIterator[Json]:
        async for event in plain(*given, **named):
            yield event
            raise Unavailable("connection reset")

    monkeypatch.setattr(watched.cluster, "watch", breaks)
    watched.cluster.hang_up()
    for number in range(4):
        watched.seconds += 60
        watched.put(f"c{number}")
        await watched.rest()
    assert len(watched.waits) == 4
    assert max(watched.waits) <= 0.5


async def test_after_a_failed_list_it_lists_again(watched: Watched) -> None:
    watched.cluster.fault = failing(Unavailable("down"), verb="list")
    watched.cluster.compact()
    watched.put("c")
    watched.cluster.compact()
    watched.cluster.hang_up()
    assert ("c", False) in await watched.rest()
    assert len(watched.waits) == 1


async def test_a_version_that_expires_while_watching(watched: Watched) -> None:
    watched.cluster.fault = failing(Gone("too old"))
    watched.cluster.hang_up()
    watched.put("c")
    assert ("c", False) in await watched.rest()
    assert watched.waits == []


async def test_silence_is_counted_from_the_last_word(watched: Watched) -> None:
    watched.seconds = 100
    assert watched.reflector.silence == 100
    watched.put("c")
    await watched.rest()
    assert watched.reflector.silence == 0
    watched.seconds = 150
    watched.cluster.fault = failing(*[Unavailable("down")] * 3)
    watched.cluster.hang_up()
    await watched.rest()
    assert watched.reflector.silence == 0
