"""Ids and records that lead elsewhere: the gateway answers 404 and asks the API server for nothing else."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

import pytest
from tests.unit.gateway.conftest import Api, image, manifest, model

from modelyard.kube.types import REVISIONS

IDS: Final = (
    "image-..-1", "image-.-1", "image-?watch=1&x-1", "image-x#-1", "image-a b-1", "image-%2e%2e-1",
    "image-..%2f..%2fkube-system%2fsecrets%2fx-1", "image-m-1\n", "image-m-" + "9" * 5000, "image-m-0",
    "service-..-1", "service-m\x00-1", "..:1", "m:" + "9" * 5000, "m?x:1", "m#:1",
)  # fmt: skip
EXPECTED: Final = re.compile(r"/(api|apis/[a-z.]+)/[a-z0-9]+(/[a-z]+(/[a-z0-9.-]*[a-z0-9])?)*", re.ASCII)


@pytest.mark.parametrize("route", ["operations", "models", "manifests", "images", "services", "deployments"])
async def test_hostile_id_is_not_found(api: Api, route: str) -> None:
    for id_ in IDS:
        await api("GET", f"/{route}/{quote(id_, safe='')}", 404)
    paths = {request.path for request in api.server.requests}
    assert all(EXPECTED.fullmatch(path) for path in paths), paths
    assert not [path for path in paths if ".." in path]


async def test_record_that_is_not_valid_is_not_found(api: Api) -> None:
    await api.post("/models", model("m"))
    registered = await api.post("/manifests", manifest("m", "m:1"))
    await api.post("/images", image("m", registered["id"]), 202)
    await api.harness.play()
    for name in ("model-m-1", "manifest-m-1", "image-m-1"):
        api.harness.cluster.at(REVISIONS, name)["data"] = {"name": {"a": 1}, "modelIds": [5], "assets": "x"}
    for path in ("/models/m:1", "/manifests/m:1", "/images/m:1", "/operations/image-m-1"):
        await api("GET", path, 404)
    for path in ("/models", "/manifests", "/images"):
        assert (await api.get(path))["value"] == []
