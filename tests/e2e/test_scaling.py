"""Replicas: the autoscaler follows real load up and down, and changing hands drops none."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import pytest
from tests.support.cluster import Kubectl, eventually
from tests.support.load import Load
from tests.support.objects import service
from tests.support.status import history, wait_for_status

Make = Callable[..., str]
SCALER: Final = {"autoscaleEnabled": True, "targetUtilization": 70, "refreshPeriodInSeconds": 1}
RESERVED: Final = {"cpu": "50m", "memory": "64Mi"}


@pytest.fixture(scope="module")
def risen(shared: Kubectl) -> str:
    """A Service that load has brought from one replica to three; the load is over."""
    scaler = SCALER | {"minReplicas": 1, "maxReplicas": 3}
    shared.apply(service("busy", "busy", autoScaler=scaler, containerResourceReservation=RESERVED))
    wait_for_status(shared, "msvc", "busy", 120, state="Succeeded", replicas=1)
    with Load(shared, "busy", "{}", connections=2, per_second=20) as load:
        wait_for_status(shared, "msvc", "busy", 120, replicas=3, readyReplicas=3)
        load.wait(3)
        ok, failed, errors = load.total()
    assert (failed, errors) == (0, {})
    assert ok > 100
    return "busy"


def test_load_adds_replicas(shared: Kubectl, risen: str) -> None:
    told = wait_for_status(shared, "msvc", risen, 1, replicas=3, readyReplicas=3)
    assert (told["state"], told["version"]) == ("Succeeded", 1)  # scaling is no new version


def test_switch_between_fixed_and_autoscaled_drops_no_replica(shared: Kubectl, make_service: Make) -> None:
    name = make_service("one", numReplicas=3, containerResourceReservation=RESERVED)
    with history(shared, "deployment", name, "{.spec.replicas}") as wanted:
        scaler = SCALER | {"minReplicas": 2, "maxReplicas": 4}
        shared.patch("msvc", name, {"spec": {"autoScaler": scaler, "numReplicas": None}})
        wait_for_status(shared, "msvc", name, 60, state="Succeeded", version=2)
        assert set(wanted) == {"3"}  # for the autoscaler to lower, which it may do half a minute later
        eventually(
            lambda: (shared.get_or_none("hpa", name) or {}).get("status", {}).get("desiredReplicas", 0) >= 2,
            60, "the autoscaler is in charge",
        )  # fmt: skip
        shared.patch("msvc", name, {"spec": {"autoScaler": None, "numReplicas": 4}})
        wait_for_status(shared, "msvc", name, 120, state="Succeeded", version=3, replicas=4, readyReplicas=4)
        assert shared.get_or_none("hpa", name) is None
        time.sleep(11)  # two of the autoscaler's periods: it is gone, and sets nothing back
    assert {int(count) for count in wanted} <= {2, 3, 4}
    assert int(wanted[-1]) == 4


def test_kubectl_scales_and_autoscales_a_service(shared: Kubectl, make_service: Make) -> None:
    name = make_service("one", containerResourceReservation=RESERVED)
    shared("scale", f"msvc/{name}", "--replicas=2")
    wait_for_status(shared, "msvc", name, 120, state="Succeeded", version=2, readyReplicas=2)
    titles, row = shared("get", "msvc", name, "--output", "wide").splitlines()
    assert {"REPLICAS", "DESIRED", "IMAGE", "AGE"} <= set(titles.split())
    assert {f"{name}:2", "2", "one:1"} <= set(row.split())
    shared("autoscale", f"msvc/{name}", "--min=3", "--max=3", "--cpu=80%")
    wait_for_status(shared, "msvc", name, 120, state="Succeeded", version=3, readyReplicas=3)


def test_kubectl_autoscale_is_refused_beside_the_own_autoscaler(shared: Kubectl, make_service: Make) -> None:
    scaler = SCALER | {"minReplicas": 1, "maxReplicas": 2}
    name = make_service("one", autoScaler=scaler, containerResourceReservation=RESERVED)
    with pytest.raises(RuntimeError, match="already exists"):
        shared("autoscale", f"msvc/{name}", "--min=1", "--max=3", "--cpu=80%")
    with pytest.raises(RuntimeError, match="numReplicas and an enabled autoScaler exclude each other"):
        shared("scale", f"msvc/{name}", "--replicas=2")


def test_deleted_autoscaler_and_disruption_budget_exist_again_within_seconds(
    shared: Kubectl, make_service: Make
) -> None:
    scaler = SCALER | {"minReplicas": 2, "maxReplicas": 2}
    name = make_service("one", autoScaler=scaler, containerResourceReservation=RESERVED)
    for kind in ("hpa", "pdb"):
        deleted = shared.get(kind, name)["metadata"]["uid"]
        shared("delete", kind, name)

        def exists_again(kind: str = kind, deleted: str = deleted) -> bool:
            found = shared.get_or_none(kind, name)
            return found is not None and found["metadata"]["uid"] != deleted

        eventually(exists_again, 10, f"the {kind} exists again")


def test_replicas_are_removed_after_the_load(shared: Kubectl, risen: str) -> None:
    told = wait_for_status(shared, "msvc", risen, 150, replicas=1, readyReplicas=1)
    assert (told["state"], told["version"]) == ("Succeeded", 1)
