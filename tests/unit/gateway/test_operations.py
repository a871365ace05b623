"""The path from a model to a service, and the states of operations."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.gateway.conftest import Api, image, manifest, model, service

from modelyard.contract.build_request import (
    BuildError,
    BuildResult,
)
from modelyard.kube.errors import Unavailable
from modelyard.kube.types import REVISIONS


@pytest.fixture
async def built(api: Api) -> Any:
    """An image that was built."""
    registered = await api.post("/models", model("Model_1.pkl"))
    made = await api.post("/manifests", manifest("m", registered["id"]))
    operation = await api.post("/images", image("m", made["id"]), 202)
    assert (await api.get(operation))["state"] in {"NotStarted", "Running"}
    await api.harness.play()
    ended = await api.get(operation)
    assert (ended["state"], ended["operationType"], ended["id"]) == ("Succeeded", "Image", "image-m-1")
    return await api.get("/images/m:1")


async def test_model_is_served(api: Api, built: Any) -> None:
    assert built["imageLocation"].startswith("localhost:5000/modelyard/default/m@sha256:")
    operation = await api.post("/services", service("My Service", built["id"], numReplicas=1), 202)
    await api.harness.play()
    ended = await api.get(operation)
    assert ended["state"] == "Succeeded"
    found = await api.get(f"/services/{ended['resourceLocation'].rsplit('/', 1)[1]}")
    assert (found["name"], found["state"], found["numReplicas"]) == ("My Service", "Succeeded", 1)
    assert found["image"] == built
    assert [item["name"] for item in found["models"]] == ["Model_1.pkl"]
    assert found["scoringUri"].endswith("/score")


async def test_newer_image_cancels_the_build(api: Api, built: Any) -> None:
    body = manifest("m", targetRuntime={"runtimeType": "Python", "properties": {"pipRequirements": "a"}})
    made = await api.post("/manifests", body)
    second = await api.post("/images", image("m", made["id"]), 202)
    third = await api.post("/images", image("m", made["id"]), 202)
    assert (await api.get(second))["state"] == "Cancelled"
    await api.harness.play()
    assert (await api.get(third))["state"] == "Succeeded"
    assert (await api.get("/operations/image-m-1"))["state"] == "Succeeded"
    assert [item["version"] for item in (await api.get("/images", name="m"))["value"]] == [1, 2, 3]


async def test_removed_first_version_is_no_operation_to_wait_for(api: Api, built: Any) -> None:
    api.harness.cluster.remove(REVISIONS, "default", "image-m-1")
    assert (await api("GET", "/operations/image-m-1", 404)).json()["code"] == "OperationNotFound"


async def test_failed_build_names_its_log(api: Api) -> None:
    error = BuildError(code="PipFailed", step="Build", message="no such package")
    api.harness.outcome = lambda _: BuildResult(error=error)
    made = await api.post("/manifests", manifest())
    operation = await api.post("/images", image("m", made["id"]), 202)
    await api.harness.play()
    ended = await api.get(operation)
    found = await api.get("/images/m:1")
    assert (ended["state"], ended["error"]["code"]) == ("Failed", "PipFailed")
    assert ended["error"]["details"][0] == {"code": "BuildLog", "message": found["imageBuildLogUri"]}
    log = await api.http.get(found["imageBuildLogUri"], headers={"Authorization": "Bearer viewer"})
    assert (log.status_code, log.text[:6]) == (200, "log of")


async def test_service_needs_a_built_image(api: Api) -> None:
    made = await api.post(
        "/manifests", manifest(targetRuntime={"runtimeType": "SparkPython", "properties": {}})
    )
    await api.post("/images", image("m", made["id"]), 202)
    assert (await api("POST", "/services", 409, json=service())).json()["code"] == "ImageNotReady"
    assert (await api("POST", "/services", 400, json=service(image_id="x:1"))).json()[
        "code"
    ] == "ImageNotFound"


async def test_bodies_have_the_fields_that_clients_of_2017_print(api: Api, built: Any) -> None:
    """The lists of those clients read the description of everything, and the image of a waiting service."""
    await api.harness.stop()
    await api.post("/services", service(), 202)
    (waiting,) = (await api.get("/services"))["value"]
    assert waiting["image"]["manifest"]["webserviceType"] == "Realtime"
    for thing in (built, waiting["manifest"], *waiting["models"]):
        assert thing["description"] == ""


async def test_service_update_makes_a_version(api: Api, built: Any) -> None:
    await api.post("/services", service(numReplicas=2), 202)
    assert (await api("POST", "/services", 409, json=service())).json()["code"] == "NameTaken"
    await api.harness.play()
    scaler = {"autoscaleEnabled": True, "minReplicas": 1, "maxReplicas": 3}
    response = await api("PUT", "/services/m", 202, json={"autoScaler": scaler})
    assert response.headers["Operation-Location"].endswith("/operations/service-m-2")
    await api.harness.play()
    found = await api.get("/services/m")
    assert found["autoScaler"] == scaler
    assert "numReplicas" not in found
    first, second = await api.get("/deployments", serviceId="m")
    ended = (await api.get("/operations/service-m-2"))["endTime"]
    assert (first["expiredAt"], first["status"]) == (ended, "Succeeded")
    assert "expiredAt" not in second
    assert await api.get("/deployments/service-m-2") == second


async def test_deployment_expires_when_a_later_one_is_rolled_out(api: Api, built: Any) -> None:
    await api.post("/services", service(numReplicas=1), 202)
    await api.harness.play()
    api.harness.serves = False
    for count in (2, 3):
        api.harness.clock.move(60)
        await api("PUT", "/services/m", 202, json={"numReplicas": count})
    first, second, third = await api.get("/deployments", serviceId="m")
    assert [one["status"] for one in (first, second, third)] == ["Succeeded", "Cancelled", "Running"]
    assert second["expiredAt"] == third["createdAt"]
    assert "expiredAt" not in first
    api.harness.clock.move(60)
    api.harness.serves = True
    await api.harness.play()
    first = (await api.get("/deployments", serviceId="m"))[0]
    operation = await api.get("/operations/service-m-3")
    assert first["expiredAt"] == operation["endTime"] > third["createdAt"]


async def test_service_update_keeps_fields_that_it_does_not_contain(api: Api, built: Any) -> None:
    """Clients of 2017 send single fields: an update of the CPU keeps the memory."""
    scaler = {"autoscaleEnabled": True, "minReplicas": 2, "maxReplicas": 3}
    reservation = {"cpu": "20m", "memory": "64Mi"}
    body = service(autoScaler=scaler, containerResourceReservation=reservation)
    await api.post("/services", body, 202)
    await api.harness.play()
    change = {
        "imageId": built["id"],
        "autoScaler": {"maxReplicas": 5},
        "containerResourceReservation": {"cpu": "0.5"},
    }
    await api("PUT", "/services/m", 202, json=change)
    found = await api.get("/services/m")
    assert found["autoScaler"] == scaler | {"maxReplicas": 5}
    assert found["containerResourceReservation"] == {"cpu": "0.5", "memory": "64Mi"}
    await api("PUT", "/services/m", 202, json={"numReplicas": 2, "autoScaler": {"maxReplicas": 4}})
    found = await api.get("/services/m")
    assert (found["numReplicas"], found["autoScaler"]) == (2, {"maxReplicas": 4})


@pytest.mark.parametrize("field", ["autoScaler", "containerResourceReservation"])
async def test_empty_part_of_a_service_is_accepted(api: Api, built: Any, field: str) -> None:
    operation = await api.post("/services", service(**{field: {}}), 202)
    await api.harness.play()
    assert (await api.get(operation))["state"] == "Succeeded"


@pytest.mark.parametrize("written", [True, False])
async def test_created_service_is_found_after_a_lost_response(api: Api, built: Any, written: bool) -> None:
    """A client that sends the request again would get 409 NameTaken."""

    def lose(method: str, path: str) -> None:
        if method == "POST":
            raise Unavailable("the connection broke")

    if written:
        api.server.after = lose
        await api.post("/services", service(), 202)
    else:
        api.server.before = lose
        assert (await api("POST", "/services", 503, json=service())).json()["code"] == "Unavailable"


async def test_keys_are_replaced_one_by_one_or_together(api: Api, built: Any) -> None:
    assert (await api("GET", "/services/m/keys", 404)).json()["code"] == "ServiceNotFound"
    await api.post("/services", service(), 202)
    await api.harness.play()
    before = await api.get("/services/m/keys")
    after = await api.post("/services/m/keys", {"keyType": "Secondary"})
    assert after["primaryKey"] == before["primaryKey"]
    assert after["secondaryKey"] != before["secondaryKey"]
    both = await api.post("/services/m/regenerateKeys", {})
    assert not set(both.values()) & set(after.values())
    await api("GET", "/services/m/keys", 403, token="viewer")


async def test_deleted_service_is_created_again(api: Api, built: Any) -> None:
    first = await api.post("/services", service(), 202)
    await api.harness.play()
    await api("DELETE", "/services/m", 200)
    await api("DELETE", "/services/m", 204)
    await api("GET", first, 404)
    again = await api.post("/services", service(), 202)
    assert again == first
    await api.harness.play()
    assert (await api.get(again))["state"] == "Succeeded"


async def test_filters_select_services(api: Api, built: Any) -> None:
    await api.post("/services", service("S 1"), 202)
    await api.harness.play()
    for filters in (
        {"serviceName": "S 1"}, {"modelId": built["manifest"]["modelIds"][0]}, {"modelName": "Model_1.pkl"},
        {"manifestId": "m:1"}, {"manifestName": "m"}, {"imageId": "m:1"}, {},
    ):  # fmt: skip
        assert [item["name"] for item in (await api.get("/services", **filters))["value"]] == ["S 1"], filters
    for filters in (
        {"modelName": "x"},
        {"manifestId": "m:2"},
        {"imageId": "m:2"},
        {"computeResourceId": "x"},
    ):
        assert (await api.get("/services", **filters))["value"] == [], filters
