"""The load of a replica: by the metrics of an older image, and its mean over the last seconds."""

from __future__ import annotations

import re
from collections import deque
from typing import Final, NamedTuple

import msgspec

from modelyard.replica_client.load import Load

WINDOW_SECONDS: Final = 10.0
"""Time over which the utilisation is averaged.

A replica with four places at 70 % has 2.8 running requests on average. One look at it finds between 1 and 5.
The mean of ten looks is between 2.3 and 3.3. The HorizontalPodAutoscaler tolerates 10 % in the mean of all
replicas. With a longer window the reaction would take more than one period of its controller (15 s).
"""

_SAMPLE: Final = re.compile(r"^modelyard_scoring_(\w+)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


def parse_metrics(text: str) -> Load:
    """Return the load by the metrics of a replica whose image is older than `GET /load`.

    Raises ValueError if a metric is absent or invalid. The number of requests is that of the responses: it
    does not count those that still run.
    """
    values: dict[str, float] = {}
    for name, value in _SAMPLE.findall(text):
        values[name] = values.get(name, 0.0) + float(value)
    try:
        numbers = {
            "running": int(values["running"]),
            "waiting": int(values["waiting"]),
            "places": int(values["concurrency"]),
            "requests": int(values.get("requests_total", 0)),
            "ready": values.get("ready") == 1,
        }
    except (KeyError, OverflowError) as error:
        message = f"/metrics has no valid modelyard_scoring_{error}"
        raise ValueError(message) from error
    return msgspec.convert(numbers, Load)


class _Sample(NamedTuple):
    at: float  # time.monotonic()
    utilization: float


class Figures:
    """The latest load of a replica, and the samples of its last seconds."""

    __slots__ = ("_samples", "latest", "read_at")

    def __init__(self) -> None:
        self.latest: Load | None = None
        self.read_at = 0.0
        """When the latest load was read (time.time(), seconds)."""
        self._samples: deque[_Sample] = deque()

    def add(self, load: Load, at: float, read_at: float) -> None:
        """Add a load, and drop those before the window. `at` is time.monotonic(), `read_at` time.time()."""
        self.latest, self.read_at = load, read_at
        self._samples.append(_Sample(at, load.utilization))
        while self._samples[0].at < at - WINDOW_SECONDS:
            self._samples.popleft()

    def age(self, now: float) -> float:
        """Return the seconds since the latest load; `now` is time.monotonic()."""
        return now - self._samples[-1].at if self._samples else float("inf")

    @property
    def utilization(self) -> float:
        """Return the mean utilisation over the window. There must be a sample."""
        return sum(sample.utilization for sample in self._samples) / len(self._samples)

    @property
    def window_seconds(self) -> float:
        """Return the time between the first and the last sample of the window."""
        return self._samples[-1].at - self._samples[0].at
