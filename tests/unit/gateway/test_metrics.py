"""Metrics of the gateway: requests by method, route and status code."""

from __future__ import annotations

import pytest
from tests.unit.gateway.conftest import Api

from modelyard.gateway.metrics import REGISTRY


def requests(method: str, route: str, code: int) -> float:
    labels = {"method": method, "route": route, "code": str(code)}
    return REGISTRY.get_sample_value("modelyard_gateway_requests_total", labels) or 0


async def test_request_counts_by_the_template_of_its_path(api: Api) -> None:
    before = requests("GET", "/models/{id}", 404)
    await api("GET", "/models/nothing:1", 404)
    await api("GET", "/models/another:1", 404)
    assert requests("GET", "/models/{id}", 404) == before + 2


async def test_path_without_route_and_unknown_method_add_no_series_of_their_own(api: Api) -> None:
    before = requests("other", "", 404)
    await api.http.request("BREW", "http://gateway/a/path/of/the/client")
    assert requests("other", "", 404) == before + 1


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_probes_are_not_counted(api: Api, path: str) -> None:
    before = REGISTRY.get_sample_value("modelyard_gateway_request_seconds_count", {"method": "GET"}) or 0
    await api.http.get(f"http://gateway{path}")
    after = REGISTRY.get_sample_value("modelyard_gateway_request_seconds_count", {"method": "GET"}) or 0
    assert after == before


def test_gateway_has_its_release() -> None:
    (info,) = [family for family in REGISTRY.collect() if family.name == "modelyard_gateway_info"]
    assert info.samples[0].labels["version"]
