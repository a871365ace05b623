"""Who listens to the logs of builds, for how long, and what is done when a log breaks off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from modelyard.kube.errors import KubeError, NotFound, Unavailable
from modelyard.reconcile.builds import log_watcher
from modelyard.reconcile.builds.log_watcher import BuildLogWatcher

PUSHED = f"[Push] pushed r.example/m:t, sha256:{'0' * 64}"


class Logs:
    """A client whose logs say what they are told to, then end or break off."""

    def __init__(self, *answers: list[str] | KubeError) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.closed = 0
        self.more: asyncio.Queue[str] | None = None

    async def log_lines(self, namespace: str, pod: str, **query: str) -> AsyncGenerator[str, None]:
        self.asked.append(pod)
        answer = self.answers.pop(0)
        try:
            if isinstance(answer, KubeError):
                raise answer
            for line in answer:
                yield line
            while self.more:
                yield await self.more.get()
        finally:
            self.closed += 1


class Ends:
    def __init__(self, client: Any) -> None:
        self.told: list[str] = []
        self.ends = BuildLogWatcher(client, "system", self.told.append)

    async def listened(self, pod: str = "p", job: str = "j") -> None:
        self.ends.watch(pod, job)
        while self.ends._watches:
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_watcher, "_PAUSE", 0)


async def test_the_line_is_told_when_it_comes() -> None:
    client = Logs(["[Fetch] model"])
    client.more = asyncio.Queue()
    ends = Ends(client)
    client.more.put_nowait("[Push] model m:1: 40 MiB sent")
    client.more.put_nowait(PUSHED)
    await ends.listened()
    assert ends.told == ["j"]
    assert client.closed == 1


async def test_one_listens_to_a_pod() -> None:
    client = Logs([])
    client.more = asyncio.Queue()
    ends = Ends(client)
    for _ in range(3):
        ends.ends.watch("p", "j")
        await asyncio.sleep(0)
    assert client.asked == ["p"]
    await ends.ends.close()
    assert client.closed == 1
    assert ends.told == []


async def test_a_log_that_breaks_off_is_listened_to_again() -> None:
    client = Logs(Unavailable("gone"), Unavailable("gone"), [PUSHED])
    ends = Ends(client)
    await ends.listened()
    assert ends.told == ["j"]
    assert client.asked == ["p"] * 3


@pytest.mark.parametrize("answer", [NotFound("gone"), ["[Push] TagExists: no"]], ids=["gone", "ended"])
async def test_a_log_that_ends_is_not_asked_for_again(answer: list[str] | KubeError) -> None:
    client = Logs(answer)
    ends = Ends(client)
    await ends.listened()
    assert ends.told == []
    assert client.asked == ["p"]
