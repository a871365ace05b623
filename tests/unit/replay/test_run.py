"""The parts of a replay, and their common end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.support.collected_rows import collected_row

from modelyard.collected.errors import CollectedDataError
from modelyard.replay.client import ReplayClient, Response, Target
from modelyard.replay.comparison import Comparison
from modelyard.replay.requests import CollectedRequest, Skipped, as_request
from modelyard.replay.run import Limits, replay
from modelyard.replay.tally import Tally


def test_response_that_comes_with_the_cancellation_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def ask(*_: object) -> Response:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return Response(200, b"1", 0.001)
        raise AssertionError("the request was not cancelled")

    def batches() -> Iterator[list[CollectedRequest | Skipped]]:
        yield [as_request(collected_row(1, "[1]", [1]))]
        raise CollectedDataError("the file is damaged")

    monkeypatch.setattr(ReplayClient, "ask", ask)
    run = replay(
        batches(), Target("http://127.0.0.1:1/score"), Limits(1), Comparison(), Tally(), lambda _: None
    )
    with pytest.raises(CollectedDataError, match="damaged"):
        asyncio.run(asyncio.wait_for(run, 20))
