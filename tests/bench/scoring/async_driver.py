"""An async driver that waits: how near one process comes to the number of requests that the wait allows."""

import statistics
from dataclasses import dataclass
from typing import Final

from tests.bench.scoring.load import load
from tests.bench.scoring.servers import BUILD, OURS, Running

WAIT_SECONDS: Final = 0.1
CONNECTIONS: Final = 64

DRIVER: Final = f"""
import asyncio
def init(): pass
async def run(data):
    await asyncio.sleep({WAIT_SECONDS})
    return data
"""

ROUNDS: Final = 3
SECONDS: Final = 4


@dataclass(frozen=True)
class AsyncFigures:
    """The figures of an async driver."""

    per_second: float
    """Responses per second: the median of the rounds."""
    share: float
    """Share of CONNECTIONS / WAIT_SECONDS, which is the most that is possible."""
    memory_mb: float
    """PSS of front and worker after the load."""


def measured_async() -> AsyncFigures:
    """Measure a driver that waits in each request, with as many connections as places."""
    driver = BUILD / "async_driver.py"
    driver.write_text(DRIVER)
    settings = {
        "AML_APP_ROOT": str(driver.parent),
        "AZUREML_ENTRY_SCRIPT": driver.name,
        "MODELYARD_MAX_CONCURRENT_REQUESTS": str(CONNECTIONS),
    }
    with Running(OURS, settings) as one:
        results = [load(one.url, "x", CONNECTIONS, SECONDS) for _ in range(ROUNDS)]
        memory = one.memory_mb()[1]
    if any(result.refused_per_second for result in results):
        raise RuntimeError("an async driver with a place for each connection refused requests")
    per_second = statistics.median(result.per_second for result in results)
    return AsyncFigures(per_second, per_second * WAIT_SECONDS / CONNECTIONS, memory)


def async_line(figures: AsyncFigures) -> str:
    """Return a sentence with the figures."""
    possible = CONNECTIONS / WAIT_SECONDS
    return (
        f"Async drivers: of a `run()` that awaits {WAIT_SECONDS * 1000:.0f} ms, {CONNECTIONS} connections get"
        f" {figures.per_second:.0f} responses per second from one process. {possible:.0f} are possible."
        f" Front and worker have {figures.memory_mb:.0f} MB."
    )
