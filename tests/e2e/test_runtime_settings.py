"""Settings of the scoring runtime in `spec.pod.runtime`, and a replica that runs out of memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import httpx
import pytest
from tests.support.cluster import Kubectl, eventually, port_forward
from tests.support.objects import image, manifest, service
from tests.support.status import condition, status, wait_for_status

DRIVER: Final = """
import logging
import time

THREAD_SAFE = True


def init(): ...


def run(body):
    logging.getLogger("driver").debug("a line of the driver")
    if body == "sleep":
        time.sleep(600)
    if body == "memory":
        return len(b"x" * (600 << 20))
    return len(body)
"""
RUNTIME: Final = {
    "workers": 2,
    "scoringTimeoutMs": 3000,
    "queueTimeoutMs": 200,
    "maxBodySize": "2Ki",
    "corsOrigins": ["https://app.example.com"],
    "logLevel": "DEBUG",
}
PORT: Final = 5001


@pytest.fixture(scope="module")
def client(shared: Kubectl) -> Iterator[httpx.Client]:
    """A client of one replica of a Service with every setting of the runtime."""
    name = "tuned"
    settings = service(name, name, pod={"runtime": RUNTIME}, maxConcurrentRequestsPerContainer=1)
    shared.apply(manifest(name, DRIVER), image(name), settings)
    wait_for_status(shared, "msvc", name, 180, state="Succeeded")
    headers = {"Authorization": f"Bearer {shared.secret(f'{name}-keys')['primaryKey']}"}
    with (
        port_forward(shared.namespace, f"deployment/{name}", PORT) as url,
        httpx.Client(base_url=url, headers=headers, timeout=60) as found,
    ):
        yield found


def accepted(client: httpx.Client, content: str) -> httpx.Response:
    """Return the first response that is not a refusal: workers that a test has ended start again."""
    responses: list[httpx.Response] = []

    def is_accepted() -> bool:
        responses.append(client.post("/score", content=content))
        return responses[-1].status_code != 503

    eventually(is_accepted, 60, "a worker is free", every=0.2)
    return responses[-1]


def test_pages_of_the_origins_may_call_the_service(client: httpx.Client) -> None:
    allowed = {
        origin: client.post("/score", content="x", headers={"Origin": origin}).headers.get(
            "access-control-allow-origin"
        )
        for origin in ("https://app.example.com", "https://other.example.com")
    }
    assert allowed == {
        "https://app.example.com": "https://app.example.com",
        "https://other.example.com": None,
    }


def test_body_above_the_size_is_refused(client: httpx.Client) -> None:
    codes = [client.post("/score", content="x" * size).status_code for size in (2048, 2049)]
    assert codes == [200, 413]


def test_limits_of_run_and_of_the_queue_apply_to_each_worker_process(client: httpx.Client) -> None:
    """Each of two processes has one request that never ends, so the third request waits in the queue."""
    with ThreadPoolExecutor(3) as pool:
        responses = pool.map(lambda _: client.post("/score", content="sleep").status_code, range(3))
        assert sorted(responses) == [500, 500, 503]


def test_level_applies_to_the_driver_and_to_each_request(shared: Kubectl, client: httpx.Client) -> None:
    assert accepted(client, "x").status_code == 200
    lines = ("a line of the driver", '"message": "POST /score"')
    eventually(
        lambda: all(line in shared("logs", "deployment/tuned") for line in lines), 60, "lines of level DEBUG"
    )


def test_replica_that_ran_out_of_memory_is_reported_with_its_limit(
    shared: Kubectl, client: httpx.Client
) -> None:
    # The kernel ends the whole container with cgroup v2, and the worker process only with version 1.
    with contextlib.suppress(httpx.TransportError):
        assert accepted(client, "memory").status_code == 500

    def message() -> str:
        found = status(shared, "msvc", "tuned")
        types = {item["type"] for item in found["conditions"]}
        return str(condition(found, "OutOfMemory")["message"]) if "OutOfMemory" in types else ""

    text = eventually(message, 60, "the condition OutOfMemory")
    assert "ran out of memory: it reached its memory limit of 256Mi, and reserves 64Mi" in text
    assert "Raise containerResourceReservation.memory" in text
    wait_for_status(shared, "msvc", "tuned", 120, state="Succeeded", readyReplicas=1)
