"""A watch that stays alive: changes, deletions while it was away, an API server that is down."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.unit.clock import Clock
from tests.unit.fake_api_server import (
    Call,
    FakeApiServer,
)

from modelyard.kube.errors import Forbidden, Gone, Rejected, Unavailable
from modelyard.kube.reflector import Reflector
from modelyard.kube.types import CONFIG_MAPS, JOBS, PODS, SECRETS, ApiResource, Json, Page

LABELS = {"of": "us"}


class Watched:
    """A reflector of Secrets, and the changes that it emitted."""

    def __init__(self) -> None:
        self.cluster = FakeApiServer(Clock())
        self.emitted: list[tuple[str, bool]] = []
        self.bodies: list[Json] = []
        self.seconds = 0.0
        self.waits: list[float] = []
        self.reflector = Reflector(
            self.cluster,
            SECRETS,
            self._handle,
            selector="of=us",
            metadata_only=True,
            monotonic=lambda: self.seconds,
            sleep=self._wait,
        )

    def _handle(self, _: ApiResource, body: Json, deleted: bool) -> None:
        self.emitted.append((body["metadata"]["name"], deleted))
        self.bodies.append(body)

    async def _wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)

    def put(self, name: str, **labels: str) -> None:
        body = {"metadata": {"name": name, "labels": labels or LABELS}, "data": {"key": "c2VjcmV0"}}
        self.cluster.put(SECRETS, "default", body)

    async def settle(self) -> list[tuple[str, bool]]:
        """Return the changes emitted since the last call."""
        for _ in range(60):
            await asyncio.sleep(0)
        emitted, self.emitted = self.emitted, []
        return emitted


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    watched = Watched()
    watched.put("a")
    watched.put("b")
    task = asyncio.create_task(watched.reflector.run())
    await asyncio.wait_for(watched.reflector.synced.wait(), 5)
    assert await watched.settle() == [("a", False), ("b", False)]
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


async def test_reflector_emits_changes_with_metadata_only(watched: Watched) -> None:
    watched.put("c")
    watched.put("foreign", of="others")
    watched.cluster.remove(SECRETS, "default", "a")
    assert await watched.settle() == [("c", False), ("a", True)]
    assert all("data" not in body for body in watched.bodies)


async def test_ended_watch_continues_after_its_last_event(watched: Watched) -> None:
    watched.cluster.hang_up()
    watched.put("c")
    assert await watched.settle() == [("c", False)]
    assert [call.verb for call in watched.cluster.calls] == ["list", "watch", "watch"]


async def test_expired_version_is_listed_again_with_deletions(watched: Watched) -> None:
    watched.cluster.hang_up()
    watched.cluster.remove(SECRETS, "default", "a")
    watched.put("c")
    watched.cluster.compact()
    assert await watched.settle() == [("b", False), ("c", False), ("a", True)]
    watched.put("d")
    assert await watched.settle() == [("d", False)]


@pytest.mark.parametrize("error", [Unavailable("down"), Rejected("no right to watch")], ids=repr)
async def test_waits_grow_while_the_watch_fails(watched: Watched, error: Exception) -> None:
    watched.cluster.fault = failing(*[error] * 9)
    watched.cluster.hang_up()
    watched.put("c")
    assert await watched.settle() == [("c", False)]
    bounds = [min(0.5 * 2**n, 30) for n in range(9)]
    assert len(watched.waits) == 9
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(watched.waits, bounds, strict=True))


async def test_watch_that_breaks_after_an_event_waits_as_after_a_first_failure(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = watched.cluster.watch

    async def breaks(*args: Any, **options: Any) -> AsyncIterator[Json]:
        async for event in plain(*args, **options):
            yield event
            raise Unavailable("connection reset")

    monkeypatch.setattr(watched.cluster, "watch", breaks)
    watched.cluster.hang_up()
    for number in range(4):
        watched.seconds += 60
        watched.put(f"c{number}")
        await watched.settle()
    assert len(watched.waits) == 4
    assert max(watched.waits) <= 0.5


async def test_failed_list_is_repeated(watched: Watched) -> None:
    watched.cluster.fault = failing(Unavailable("down"), verb="list")
    watched.cluster.compact()
    watched.put("c")
    watched.cluster.compact()
    watched.cluster.hang_up()
    assert ("c", False) in await watched.settle()
    assert len(watched.waits) == 2  # after the expired version, and after the list


async def test_version_that_expires_during_a_watch_is_listed_again(watched: Watched) -> None:
    watched.cluster.fault = failing(Gone("too old"))
    watched.cluster.hang_up()
    watched.put("c")
    assert ("c", False) in await watched.settle()
    assert len(watched.waits) == 1


async def test_waits_grow_while_each_watch_is_answered_with_gone(watched: Watched) -> None:
    watched.cluster.fault = failing(*[Gone("too old")] * 9)
    watched.cluster.hang_up()
    watched.put("c")
    assert ("c", False) in await watched.settle()
    assert len(watched.waits) == 9
    assert watched.waits[-1] > 10


async def test_sixth_denial_in_a_row_is_final_until_a_list_succeeds(watched: Watched) -> None:
    denial = Forbidden("no right", status=403)
    watched.cluster.fault = failing(*[denial] * 5)
    watched.cluster.hang_up()
    await watched.settle()
    assert (watched.reflector.denial, watched.reflector.synced.is_set()) == (None, True)
    watched.cluster.fault = failing(*[denial] * 6)
    watched.cluster.hang_up()
    ends = asyncio.Event()

    async def wait(seconds: float) -> None:
        watched.waits.append(seconds)
        if seconds == 60:
            await ends.wait()

    watched.reflector._sleep = wait
    await watched.settle()
    assert (watched.reflector.denial, watched.reflector.synced.is_set()) == (denial, False)
    assert watched.waits[-1] == 60
    watched.cluster.remove(SECRETS, "default", "a")
    ends.set()
    assert ("a", True) in await watched.settle()
    assert (watched.reflector.denial, watched.reflector.synced.is_set()) == (None, True)


async def test_accepted_watch_without_events_is_neither_silent_nor_failing(watched: Watched) -> None:
    async def wait(seconds: float) -> None:
        watched.waits.append(seconds)
        watched.seconds += 100

    watched.reflector._sleep = wait
    watched.cluster.fault = failing(Unavailable("down"))
    watched.cluster.hang_up()
    await watched.settle()
    assert len(watched.waits) == 1
    assert watched.reflector.seconds_since_event == 0
    assert not watched.reflector.is_failing


async def test_waits_grow_while_each_watch_breaks_before_its_first_event(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*_: Any, on_open: Callable[[], None], **__: Any) -> AsyncIterator[Json]:
        if len(watched.waits) >= 9:
            await asyncio.Event().wait()
        watched.seconds += 1
        on_open()
        raise Unavailable("connection reset")
        yield {}

    monkeypatch.setattr(watched.cluster, "watch", breaks)
    watched.cluster.hang_up()
    await watched.settle()
    assert len(watched.waits) == 9
    assert watched.waits[-1] > 10


async def test_seconds_since_event_count_from_the_last_event(watched: Watched) -> None:
    watched.seconds = 100
    assert watched.reflector.seconds_since_event == 100
    watched.put("c")
    await watched.settle()
    assert watched.reflector.seconds_since_event == 0
    watched.seconds = 150
    watched.cluster.fault = failing(*[Unavailable("down")] * 3)
    watched.cluster.hang_up()
    await watched.settle()
    assert watched.reflector.seconds_since_event == 0


async def test_reflectors_that_share_a_semaphore_list_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster, lists = FakeApiServer(Clock()), asyncio.Semaphore(2)
    plain, active, most = cluster.pages, 0, 0

    async def pages(*arguments: Any, **options: Any) -> AsyncIterator[Page]:
        nonlocal active, most
        active += 1
        most = max(most, active)
        async for page in plain(*arguments, **options):
            await asyncio.sleep(0)
            yield page
        active -= 1

    monkeypatch.setattr(cluster, "pages", pages)
    resources = (SECRETS, CONFIG_MAPS, JOBS, PODS)
    reflectors = [Reflector(cluster, one, lambda *_: None, lists=lists) for one in resources]
    tasks = [asyncio.create_task(reflector.run()) for reflector in reflectors]
    for reflector in reflectors:
        await asyncio.wait_for(reflector.synced.wait(), 5)
    assert most == 2
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_page_is_released_before_the_next_one_is_decoded(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of 4 MiB takes 17 MB once it is decoded."""

    class Items(list[Json]):
        pass

    async def pages(*_: Any, **__: Any) -> AsyncIterator[Page]:
        page = Page(Items(), None)
        last = weakref.ref(page.items)
        yield page
        del page
        released.append(last() is None)
        yield Page([], None, "1000")

    released: list[bool] = []
    monkeypatch.setattr(watched.cluster, "pages", pages)
    watched.cluster.compact()
    watched.cluster.hang_up()
    watched.cluster.fault = failing(Gone("too old"))
    await watched.settle()
    assert released[0]
