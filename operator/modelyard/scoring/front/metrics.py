"""Prometheus metrics of scoring: counters and histograms, and their text form.

Own code: prometheus_client costs 4 MB, 80 ms of start, and five times as much for each request.
"""

from bisect import bisect_left
from collections import Counter
from typing import Final

from modelyard.scoring.front.memory import Memory
from modelyard.scoring.spool.counts import Counts

RUN_BUCKETS: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)
"""Upper bounds in seconds."""

WAIT_BUCKETS: Final = (0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5)
"""Upper bounds in seconds."""


class Histogram:
    """Counts of values in buckets, and their sum."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def lines(self, name: str) -> list[str]:
        """Return the samples of the histogram in the text exposition format."""
        lines, total = [], 0
        for bound, count in zip((*self._bounds, "+Inf"), self._counts, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
        return [*lines, f"{name}_sum {self.sum:.6f}", f"{name}_count {total}"]


def split_sent(sent: int, waiting: int, concurrency: int) -> tuple[int, int]:
    """Return the numbers of running and of waiting requests.

    Workers get some requests ahead. Those beyond the concurrency wait there.
    """
    return min(sent, concurrency), waiting + max(0, sent - concurrency)


class Metrics:
    """Counters and histograms of one scoring process. Used on the event loop only."""

    __slots__ = ("latency", "requests", "run_seconds", "streamed_bytes", "streams", "wait")

    def __init__(self) -> None:
        self.requests: Counter[int] = Counter()
        """Scoring requests by HTTP status."""
        self.latency = Histogram(RUN_BUCKETS)
        """Seconds from the end of the request to its response."""
        self.wait = Histogram(WAIT_BUCKETS)
        """Seconds from the end of the request to the start of run()."""
        self.run_seconds = 0.0
        """Seconds in run(), summed over all threads."""
        self.streams: Counter[str] = Counter()
        """Streamed results by their end: complete, failed, left."""
        self.streamed_bytes = 0

    def count_stream(self, end: str, size: int) -> None:
        """Count a streamed result at its end: `complete`, `failed`, or `left` by its client."""
        self.streams[end] += 1
        self.streamed_bytes += size

    def text(
        self,
        *,
        sent: int,
        waiting: int,
        concurrency: int,
        restarts: int,
        ready: bool,
        memory: Memory | None = None,
        collection: Counts | None = None,
    ) -> str:
        """Return all metrics in the text exposition format 0.0.4.

        `sent` requests are at the workers, `waiting` ones in the queue; `concurrency` requests may run at
        once. Without `memory` its metrics have no samples, and without `collection` they are missing.
        """
        running, waiting = split_sent(sent, waiting, concurrency)
        lines: list[str] = []

        def add(name: str, kind: str, help_text: str, values: list[str]) -> None:
            lines.extend((f"# HELP {name} {help_text}", f"# TYPE {name} {kind}", *values))

        by_code = [
            f'modelyard_scoring_requests_total{{code="{code}"}} {count}'
            for code, count in sorted(self.requests.items())
        ]
        streams = [
            f'modelyard_scoring_streams_total{{end="{end}"}} {count}'
            for end, count in sorted(self.streams.items())
        ]
        name = "modelyard_scoring_request_seconds"
        add("modelyard_scoring_requests_total", "counter", "Scoring requests by status code.", by_code)
        add(name, "histogram", "From a complete request to its response.", self.latency.lines(name))
        name = "modelyard_scoring_wait_seconds"
        add(name, "histogram", "From a complete request to the start of run().", self.wait.lines(name))
        add("modelyard_scoring_streams_total", "counter", "Streamed results by their end.", streams)
        size = f"modelyard_scoring_streamed_bytes_total {self.streamed_bytes}"
        add("modelyard_scoring_streamed_bytes_total", "counter", "Bytes of streamed results.", [size])
        for name, kind, help_text, value in (
            ("run_seconds_total", "counter", "Time in run(), over all concurrent ones.", self.run_seconds),
            ("worker_restarts_total", "counter", "Workers that ended and were started again.", restarts),
            ("running", "gauge", "Requests at the workers.", running),
            ("waiting", "gauge", "Requests in the queue.", waiting),
            ("concurrency", "gauge", "Requests that may run at once.", concurrency),
            ("busy", "gauge", "Share of the concurrency that is in use.", running / concurrency),
            ("ready", "gauge", "1 if new requests are accepted.", int(ready)),
        ):
            full_name = f"modelyard_scoring_{name}"
            add(full_name, kind, help_text, [f"{full_name} {value:.6g}"])
        for name, help_text, size_or_none in (
            ("memory_bytes", "Memory of the container without cached files.", memory and memory.working_set),
            ("memory_limit_bytes", "Memory limit of the container, if it has one.", memory and memory.limit),
        ):
            full_name = f"modelyard_scoring_{name}"
            samples = [] if size_or_none is None else [f"{full_name} {size_or_none}"]
            add(full_name, "gauge", help_text, samples)
        if collection is not None:
            name = "modelyard_collection_records_total"
            help_text = "Answered requests by their way in data collection."
            add(name, "counter", help_text, _collection_samples(name, collection))
        return "\n".join([*lines, ""])


def _collection_samples(name: str, counts: Counts) -> list[str]:
    ways = [("collected", "", counts.collected), ("sampled_out", "", counts.sampled_out)]
    ways += [("dropped", reason, count) for reason, count in sorted(counts.dropped.items())]
    return [f'{name}{{outcome="{outcome}",reason="{reason}"}} {count}' for outcome, reason, count in ways]
