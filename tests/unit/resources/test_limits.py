"""Requests and limits of scoring containers."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from modelyard.api.service import ServiceSpec
from modelyard.kube.types import Json
from modelyard.resources.limits import container_resources
from modelyard.resources.pod_settings import effective_settings
from modelyard.settings import ScoringSettings

TMP = {"name": "tmp", "emptyDir": {"sizeLimit": "10Gi"}}
DISK = "ephemeral-storage"


def resources(memory: str | None = None, volumes: tuple[Json, ...] = (TMP,), **scoring: Any) -> Json:
    reserved = {"containerResourceReservation": {"memory": memory}} if memory else {}
    spec = ServiceSpec.model_validate({"imageId": "m"} | reserved)
    settings = ScoringSettings.model_validate(scoring)
    return container_resources(spec, settings, volumes, effective_settings(spec.pod, settings)["resources"])


@pytest.mark.parametrize(
    ("memory", "factor", "limit"),
    [(None, 4, "2Gi"), ("2G", 4, "8G"), ("1Gi", 1.5, "1536Mi"), ("3Mi", 1.1, "3460300"), ("1Gi", 1, "1Gi")],
)
def test_memory_limit_is_a_multiple_of_the_reservation(memory: str | None, factor: float, limit: str) -> None:
    assert resources(memory, memoryLimitFactor=factor)["limits"]["memory"] == limit


def test_memory_limit_of_the_settings_is_never_below_the_reservation() -> None:
    limits = {"memory": "4Gi", "cpu": 2}
    assert resources("1Gi", limits=limits)["limits"] == {"memory": "4Gi", "cpu": "2", DISK: "11Gi"}
    assert resources("8Gi", limits=limits)["limits"]["memory"] == "8Gi"


@pytest.mark.parametrize("factor", [-1, 0.5])
def test_factor_below_one_is_refused(factor: float) -> None:
    with pytest.raises(ValidationError, match="memoryLimitFactor"):
        ScoringSettings.model_validate({"memoryLimitFactor": factor})


@pytest.mark.parametrize(
    ("volumes", "limit"),
    [
        ([{"emptyDir": {"sizeLimit": "5Gi"}}], "16Gi"),
        ([{"emptyDir": {"sizeLimit": "5Gi", "medium": "Memory"}}, {"secret": {}}], "11Gi"),
        ([{"emptyDir": {}}], None),
    ],
    ids=["disk", "memory", "no size"],
)
def test_disk_limit_is_the_size_of_all_volumes_and_logs(volumes: list[Json], limit: str | None) -> None:
    found = resources(volumes=(TMP, *volumes))
    assert found["requests"][DISK] == "256Mi"
    assert found["limits"].get(DISK) == limit


def test_limit_of_the_disk_is_never_below_its_request() -> None:
    assert resources(ephemeralStorageRequest="20Gi")["limits"][DISK] == "20Gi"


def test_disk_has_neither_request_nor_limit_if_the_request_is_empty() -> None:
    found = resources(ephemeralStorageRequest="")
    assert DISK not in found["requests"] | found["limits"]
