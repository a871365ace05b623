"""The run of a replay: rows from a store, requests to a target, figures."""

from __future__ import annotations

import asyncio
import math
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Final

from modelyard.json_path import Path
from modelyard.rate_limit import RateLimit
from modelyard.replay.client import NoResponse, ReplayClient, Response, Target
from modelyard.replay.comparison import Comparison
from modelyard.replay.errors import ReplayError
from modelyard.replay.requests import CollectedRequest, Skipped
from modelyard.replay.tally import Tally

_Batch = list[CollectedRequest | Skipped]
Batches = Iterator[_Batch]
_Item = CollectedRequest | Skipped | None
_END: Final = None

_MAX_FAILURES_IN_A_ROW: Final = 20
"""Requests without a connection, in addition to those in flight, after which the target counts as gone."""
_PROGRESS_SECONDS: Final = 1.0
_CANCEL_SECONDS: Final = 0.5
_INFERENCE_ID: Final[tuple[Path, ...]] = (("id",),)
"""The member of an inference response that is new with each request."""


@dataclass(frozen=True)
class Limits:
    """The load on the target, and the number of rows."""

    concurrency: int = 8
    per_second: float = math.inf
    rows: int | None = None


async def replay(
    batches: Batches,
    target: Target,
    limits: Limits,
    comparison: Comparison,
    tally: Tally,
    progress: Callable[[Tally], None],
) -> bool:
    """Ask a target and fill the tally. Return False if SIGINT or SIGTERM ended the replay early.

    Raises ReplayError if the target refuses the key or is gone, and the errors of `batches`.
    """
    run = _Run(target, limits, comparison, tally)
    task = asyncio.create_task(run.whole(batches))
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stopped.set()
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_PROGRESS_SECONDS)
            progress(tally)
        with suppress(asyncio.CancelledError):
            task.result()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    return not stopped.is_set()


class _Run:
    def __init__(self, target: Target, limits: Limits, comparison: Comparison, tally: Tally) -> None:
        self._target = target
        self._limits = limits
        self._comparison = comparison
        self._tally = tally
        self._items: asyncio.Queue[_Item] = asyncio.Queue(2 * limits.concurrency)
        self._failures_in_a_row = 0

    async def whole(self, batches: Batches) -> None:
        """Ask for each row. The first error of a part ends all parts."""
        limit = RateLimit(self._limits.per_second)
        async with ReplayClient(self._target, self._limits.concurrency, limit) as client:
            parts = [self._read(batches), *(self._work(client) for _ in range(self._limits.concurrency))]
            tasks = [asyncio.ensure_future(part) for part in parts]
            try:
                await asyncio.gather(*tasks)
            finally:
                await _end(tasks)
                self._tally.retries = client.retries

    async def _read(self, batches: Batches) -> None:
        reader = _BatchReader(batches)
        try:
            await self._put_rows(reader)
        finally:
            reader.close()
        for _ in range(self._limits.concurrency):
            await self._items.put(_END)

    async def _put_rows(self, reader: _BatchReader) -> None:
        left = self._limits.rows
        while left != 0 and (batch := await reader.next()) is not None:
            taken = batch if left is None else batch[:left]
            for item in taken:
                await self._items.put(item)
            if left is not None:
                left -= len(taken)

    async def _work(self, client: ReplayClient) -> None:
        while (item := await self._items.get()) is not _END:
            if isinstance(item, Skipped):
                self._tally.rows += 1
                self._tally.skipped[item.value] += 1
                continue
            result = await client.ask(item)
            self._tally.rows += 1
            if isinstance(result, NoResponse):
                self._fail(result)
                continue
            self._failures_in_a_row = 0
            self._compare(item, result)

    def _compare(self, request: CollectedRequest, response: Response) -> None:
        tally = self._tally
        tally.before.add(request.seconds)
        tally.now.add(response.seconds)
        statuses = (request.status, response.status)
        # Texts of errors hold ids and times: their status alone is compared.
        compared = statuses[0] == statuses[1] and response.status < 400
        ignored: Sequence[Path] = _INFERENCE_ID if request.infers else ()
        differences = self._comparison.differences(request.prediction, response.body, ignored)
        tally.add_response(request.request_id, statuses, differences if compared else ())

    def _fail(self, reason: NoResponse) -> None:
        self._tally.unanswered[reason.value] += 1
        if reason is not NoResponse.CONNECTION:
            return
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= self._limits.concurrency + _MAX_FAILURES_IN_A_ROW:
            raise ReplayError(
                f"{self._target.url} does not answer: {self._failures_in_a_row} requests in a row had no"
                " connection; check the URL and the target"
            )


async def _end(tasks: Iterable[asyncio.Future[None]]) -> None:
    """Cancel tasks until they have ended. A request whose response comes at this moment ignores it once."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_SECONDS)


class _BatchReader:
    """Reads batches in a thread, one ahead. No exit of the process waits for the thread."""

    def __init__(self, batches: Batches) -> None:
        self._loop = asyncio.get_running_loop()
        self._wanted: SimpleQueue[asyncio.Future[_Batch | None] | None] = SimpleQueue()
        threading.Thread(target=self._read, args=(batches,), name="rows", daemon=True).start()
        self._ahead = self._want()

    async def next(self) -> _Batch | None:
        """Return the next batch, None at the end. Raises the errors of the batches."""
        batch = await self._ahead
        self._ahead = self._want()
        return batch

    def close(self) -> None:
        """End the thread after its present read."""
        self._ahead.cancel()
        self._wanted.put(None)

    def _want(self) -> asyncio.Future[_Batch | None]:
        future: asyncio.Future[_Batch | None] = self._loop.create_future()
        self._wanted.put(future)
        return future

    def _read(self, batches: Batches) -> None:
        with suppress(RuntimeError):  # the loop is closed
            while (future := self._wanted.get()) is not None:
                try:
                    batch = next(batches, None)
                except Exception as error:
                    self._loop.call_soon_threadsafe(_settle, future, None, error)
                else:
                    self._loop.call_soon_threadsafe(_settle, future, batch, None)


def _settle(future: asyncio.Future[_Batch | None], batch: _Batch | None, error: Exception | None) -> None:
    if future.done():  # cancelled
        return
    if error:
        future.set_exception(error)
    else:
        future.set_result(batch)
