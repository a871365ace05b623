"""The kubelet's probes over HTTP."""

from __future__ import annotations

import aiohttp
import pytest
from tests.unit.operator_harness import OperatorHarness

from modelyard.controller.controller import Controller
from modelyard.controller.probes import serve_probes


async def get(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, await response.text()


async def test_probes_of_a_running_operator_pass(harness: OperatorHarness) -> None:
    async with serve_probes(harness.controller, 0) as port:
        assert await get(port, "/healthz") == (200, "ok")
        status, text = await get(port, "/readyz")
    assert (status, '"deployments.apps": 0' in text) == (200, True)


async def test_liveness_passes_before_the_first_lists_and_readiness_fails(harness: OperatorHarness) -> None:
    async with serve_probes(Controller(harness.ctx, harness.read_collector), 0) as port:
        assert await get(port, "/healthz") == (200, "ok")
        assert await get(port, "/readyz") == (503, "the first lists are not complete")


async def test_each_request_reads_the_present_state(
    harness: OperatorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("a worker or a watch has ended")

    async with serve_probes(harness.controller, 0) as port:
        monkeypatch.setattr(harness.controller, "check_liveness", fail)
        assert await get(port, "/healthz") == (500, "a worker or a watch has ended")
        monkeypatch.undo()
        assert await get(port, "/healthz") == (200, "ok")
