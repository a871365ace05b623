"""Prometheus metrics of scoring: counted here, written as text when asked for.

Own code: prometheus_client costs 4 MB, 80 ms of start, and five times as much for each request.
"""

from bisect import bisect_left
from collections import Counter
from typing import Final

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


class Histogram:
    """Counts of values in buckets, and their sum."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def lines(self, name: str) -> list[str]:
        lines, total = [], 0
        for bound, count in zip((*self._bounds, "+Inf"), self._counts, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
        return [*lines, f"{name}_sum {self.sum:.6f}", f"{name}_count {total}"]


class Metrics:
    """What is counted. Used on the event loop only."""

    __slots__ = ("latency", "requests", "run_seconds", "wait")

    def __init__(self) -> None:
        self.requests: Counter[int] = Counter()
        """Scoring requests by HTTP status."""
        self.latency = Histogram(RUN_BUCKETS)
        """From the end of the request to the answer."""
        self.wait = Histogram(WAIT_BUCKETS)
        """From the end of the request to the start of run()."""
        self.run_seconds = 0.0
        """In run(), over all threads."""

    def text(self, *, running: int, waiting: int, places: int, restarts: int, ready: bool) -> str:
        """The exposition format 0.0.4. The gauges are given as they are now."""
        lines: list[str] = []

        def add(name: str, kind: str, words: str, values: list[str]) -> None:
            lines.extend((f"# HELP {name} {words}", f"# TYPE {name} {kind}", *values))

        by_code = [
            f'modelyard_scoring_requests_total{{code="{code}"}} {count}'
            for code, count in sorted(self.requests.items())
        ]
        name = "modelyard_scoring_request_seconds"
        add("modelyard_scoring_requests_total", "counter", "Scoring requests by status code.", by_code)
        add(name, "histogram", "From a whole request to its answer.", self.latency.lines(name))
        name = "modelyard_scoring_wait_seconds"
        add(name, "histogram", "From a whole request to the start of run().", self.wait.lines(name))
        for name, kind, words, value in (
            ("run_seconds_total", "counter", "Time in run(), over all concurrent ones.", self.run_seconds),
            ("worker_restarts_total", "counter", "Workers that ended and were started again.", restarts),
            ("running", "gauge", "Requests at the workers.", min(running, places)),
            ("waiting", "gauge", "Requests in the queue.", waiting + max(0, running - places)),
            ("concurrency", "gauge", "Requests that may run at once.", places),
            ("busy", "gauge", "Share of the places that are in use.", min(running, places) / places),
            ("ready", "gauge", "Whether new requests are welcome.", int(ready)),
        ):
            full = f"modelyard_scoring_{name}"
            add(full, kind, words, [f"{full} {value:.6g}"])
        return "\n".join([*lines, ""])
