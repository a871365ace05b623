"""Services: created, scored, updated, scaled and deleted, with their keys and deployments."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tests.conformance.api.conftest import (
    Api,
    service,
)
from tests.support.cluster import Kubectl, eventually, port_forward


def _score(account: Kubectl, id_: str, key: str) -> httpx.Response:
    with port_forward(account.namespace, f"service/{id_}", 80) as url:
        return httpx.post(f"{url}/score", json={}, headers={"Authorization": f"Bearer {key}"})


def test_service_scores(api: Api, account: Kubectl, served: Any) -> None:
    assert served["state"] == "Succeeded"
    assert served["scoringUri"].endswith("/score")
    assert [item["name"] for item in served["models"]] == ["Answer 42.txt"]
    keys = api.get(f"/services/{served['id']}/keys")
    for key in keys.values():
        assert _score(account, served["id"], key).json() == 42
    assert _score(account, served["id"], "wrong").status_code == 401


@pytest.mark.parametrize("action", ["keys", "regenerateKeys"])
def test_keys_are_read_and_replaced(api: Api, account: Kubectl, served: Any, action: str) -> None:
    before = api.get(f"/services/{served['id']}/keys")
    after = api.post(f"/services/{served['id']}/{action}", {"keyType": "Primary"})
    assert after["primaryKey"] != before["primaryKey"]
    assert after["secondaryKey"] == before["secondaryKey"]
    last = api.post(f"/services/{served['id']}/{action}", {"keyType": "Secondary"})
    assert last["primaryKey"] == after["primaryKey"]
    assert last["secondaryKey"] != after["secondaryKey"]
    assert api.get(f"/services/{served['id']}/keys") == last
    eventually(
        lambda: _score(account, served["id"], last["primaryKey"]).status_code == 200,
        120,
        "the new key is accepted",
    )


def test_keys_need_their_own_right(caller: Callable[..., Api], served: Any) -> None:
    viewer = caller("viewer")
    assert viewer.get(f"/services/{served['id']}")["id"] == served["id"]
    viewer("GET", f"/services/{served['id']}/keys", 403)
    viewer("POST", f"/services/{served['id']}/keys", 403, json={"keyType": "Primary"})


def test_filters_select_services(api: Api, served: Any) -> None:
    used, built_from = served["models"][0], served["manifest"]
    for filters in (
        {"serviceName": "Answers"},
        {"serviceName": served["id"]},
        {"modelId": used["id"]},
        {"modelName": used["name"]},
        {"manifestId": built_from["id"]},
        {"manifestName": built_from["name"]},
        {"imageId": served["image"]["id"]},
        {"computeResourceId": "cluster", "serviceName": "Answers"},
    ):
        assert [item["id"] for item in api.all("/services", **filters)] == [served["id"]], filters
        assert api.all("/services", **{**filters, "modelName": "nothing"}) == []
    assert api.all("/services", computeResourceId="elsewhere") == []


def test_name_of_an_existing_service_is_taken(api: Api, served: Any) -> None:
    response = api("POST", "/services", 409, json=service("Answers", served["image"]["id"]))
    assert response.json()["code"] == "NameTaken"


def test_update_makes_a_deployment(api: Api, served: Any) -> None:
    path = f"/services/{served['id']}"
    before = api.all("/services", serviceName="Answers")[0]
    scaler = {
        "autoscaleEnabled": True, "minReplicas": 1, "maxReplicas": 2, "refreshPeriodInSeconds": 5,
        "targetUtilization": 80,
    }  # fmt: skip
    update = {
        "imageId": served["image"]["id"],
        "autoScaler": scaler,
        "containerResourceReservation": {"cpu": "20m", "memory": "64Mi"},
        "maxConcurrentRequestsPerContainer": 2,
        "appInsightsEnabled": False,
        "dataCollection": {"eventHubEnabled": False, "storageEnabled": False},
    }
    operation = api.operation_of(api("PUT", path, 202, json=update))
    ended = api.finished(operation)
    assert (ended["state"], ended["operationType"]) == ("Succeeded", "Service")
    now = api.get(path)
    assert {key: now[key] for key in update if key != "imageId"} == {
        key: value for key, value in update.items() if key != "imageId"
    }
    assert "numReplicas" not in now
    assert now["updatedAt"] >= before["updatedAt"]
    api.finished(api.operation_of(api("PUT", path, 202, json={"numReplicas": 1})))
    assert "autoScaler" not in api.get(path)
    history = api.get("/deployments", serviceId=served["id"])
    assert len(history) >= 3
    assert all("expiredAt" in item for item in history[:-1])
    assert "expiredAt" not in history[-1]
    assert [api.get(f"/deployments/{item['id']}") for item in history] == history
    assert [item for item in api.get("/deployments") if item["serviceName"] == "Answers"] == history
    assert api.get(f"/operations/{history[0]['id']}")["state"] in {"Succeeded", "Cancelled"}


def test_pages_of_one_item_list_all_services(api: Api, served: Any, name: str) -> None:
    scaler = {"autoscaleEnabled": True, "minReplicas": 1, "maxReplicas": 1}
    small = {"cpu": "10m", "memory": "64Mi"}
    body = service(name, served["image"]["id"], autoScaler=scaler, containerResourceReservation=small)
    ended = api.finished(api.post("/services", body, 202))
    both = [item["id"] for item in api.get("/services")["value"]]
    assert [item["id"] for item in api.all("/services", count=1)] == both
    id_ = ended["resourceLocation"].rsplit("/", 1)[1]
    assert {id_, served["id"]} <= set(both)
    api("DELETE", f"/services/{id_}", 200)


def test_service_is_visible_to_kubectl(account: Kubectl, served: Any) -> None:
    body = account.get("service.modelyard.dev", served["id"])
    assert body["spec"]["name"] == "Answers"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"numReplicas": 1, "autoScaler": {"autoscaleEnabled": True}}, "numReplicas"),
        ({"numReplicas": -1}, "numReplicas"),
        ({"maxConcurrentRequestsPerContainer": 0}, "maxConcurrentRequestsPerContainer"),
        ({"autoScaler": {"maxReplicas": 0}}, "autoScaler.maxReplicas"),
        ({"autoScaler": {"minReplicas": 3, "maxReplicas": 2}}, "autoScaler.minReplicas"),
        ({"autoScaler": {"targetUtilization": 101}}, "autoScaler.targetUtilization"),
        ({"autoScaler": {"refreshPeriodInSeconds": 0}}, "autoScaler.refreshPeriodInSeconds"),
        ({"containerResourceReservation": {"cpu": "much"}}, "containerResourceReservation.cpu"),
        ({"computeResource": {"type": "Cloud"}}, "computeResource.type"),
    ],
    ids=json.dumps,
)
def test_invalid_service_is_rejected(api: Api, name: str, fields: Any, field: str) -> None:
    response = api("POST", "/services", 400, json={**service(name, "x:1"), **fields})
    assert any(detail["message"].startswith(field) for detail in response.json()["details"]), response.text


def test_missing_service_is_not_found(api: Api) -> None:
    api("PUT", "/services/nothing", 404, json={"numReplicas": 1})
    api("DELETE", "/services/nothing", 204)
    for path in ("", "/keys"):
        assert api("GET", f"/services/nothing{path}", 404).json()["code"] == "ServiceNotFound"


def test_failed_service_is_deleted(api: Api, served: Any, name: str) -> None:
    too_large = {"cpu": "9k", "memory": "64Mi"}
    body = service(name, served["image"]["id"], numReplicas=1, containerResourceReservation=too_large)
    operation = api.post("/services", body, 202)
    assert api.get(operation)["resourceLocation"].rsplit("/", 1)[1]
    ended = api.finished(operation)
    assert ended["state"] == "Failed"
    id_ = ended["resourceLocation"].rsplit("/", 1)[1]
    assert api.get(f"/services/{id_}")["error"] == ended["error"]
    api("DELETE", f"/services/{id_}", 200)
    eventually(lambda: api("GET", f"/services/{id_}").status_code == 404, 60, "the service is deleted")
    api("DELETE", f"/services/{id_}", 204)
