"""Images and the operations that build them: each state, the error, the log."""

from __future__ import annotations

import uuid
from typing import Any, Final

import pytest
from tests.conformance.api.conftest import (
    Api,
    image,
    manifest,
    model,
)
from tests.support.cluster import Kubectl, eventually
from tests.support.files import Files

URL_FIELDS: Final = ("model", "asset", "pipRequirements", "condaEnvFile")


def test_image_is_built(api: Api, built: Any) -> None:
    assert built["creationState"] == "Succeeded"
    assert "@sha256:" in built["imageLocation"]
    assert built["manifest"]["modelIds"]
    assert (built["name"], built["description"], built["imageType"]) == ("Answer", "to answer", "Docker")


@pytest.fixture
def slow(api: Api, files: Files, name: str) -> Any:
    """A manifest with a model whose download takes 12 seconds."""
    registered = api.post("/models", model(name, url=files.url(f"slow/12/{name}")))
    return api.post("/manifests", manifest(name, registered["id"]))


def _running(api: Api, operation: str) -> Any:
    """Wait until an operation is Running, and return its image."""
    eventually(lambda: api.get(operation)["state"] == "Running", 60, f"{operation} is Running", every=0.2)
    return api.get(f"/images/{api.get(operation)['resourceLocation'].rsplit('/', 1)[1]}")


def test_build_log_is_streamed_and_kept(api: Api, account: Kubectl, slow: Any, name: str) -> None:
    operation = api.post("/images", image(name, slow["id"]), 202)
    running = _running(api, operation)
    text, seen_running = "", False
    with api.stream(running["imageBuildLogUri"]) as pieces:
        for piece in pieces:
            text += piece
            if "[Fetch] model" in text and not seen_running:
                assert api.get(operation)["state"] == "Running"
                seen_running = True
                status = account.get("img", running["id"].partition(":")[0])["status"]
                assert status["imageBuildLogUri"].endswith("-log")
    ended = api.finished(operation)
    assert (ended["state"], seen_running) == ("Succeeded", True)
    assert "[Push]" in text
    built = api.get(f"/images/{running['id']}")
    assert built["imageBuildLogUri"] == running["imageBuildLogUri"]
    assert text.endswith(_read(api, built["imageBuildLogUri"]))


def test_newer_image_cancels_the_build(api: Api, slow: Any, name: str) -> None:
    first = api.post("/images", image(name, slow["id"]), 202)
    superseded = _running(api, first)
    eventually(lambda: "[Fetch]" in _so_far(api, superseded), 60, "the log has a line of the fetch")
    quick = api.post("/manifests", manifest(name, description="no model"))
    second = api.post("/images", image(name, quick["id"]), 202)
    assert api.finished(first, 20)["state"] == "Cancelled"
    assert api.finished(second)["state"] == "Succeeded"
    now = api.get(f"/images/{superseded['id']}")
    assert (now["creationState"], "imageLocation" in now) == ("Cancelled", False)
    assert "[Fetch]" in _read(api, now["imageBuildLogUri"])


def _so_far(api: Api, image: Any) -> str:
    with api.stream(image["imageBuildLogUri"]) as pieces:
        return next(pieces)


def test_waiting_image_is_cancelled(api: Api, account: Kubectl, name: str) -> None:
    registered = api.post(
        "/models", model(name, url="https://example.com/m", secretRef={"name": "not-there"})
    )
    made = api.post("/manifests", manifest(name, registered["id"]))
    first = api.post("/images", image(name, made["id"]), 202)
    assert api.get(first)["state"] == "NotStarted"
    api.post("/images", image(name, made["id"]), 202)
    ended = api.finished(first, 20)
    assert (ended["state"], ended["operationType"]) == ("Cancelled", "Image")
    assert ended["createdTime"] <= ended["endTime"]
    id_ = ended["resourceLocation"].rsplit("/", 1)[1]
    assert api.get(f"/images/{id_}")["creationState"] == "Cancelled"
    account("delete", "img", id_.partition(":")[0])  # a reader of its log would wait without end
    # The garbage collector deletes the ControllerRevision of the operation soon after the image.
    eventually(lambda: api("GET", first).status_code == 404, 60, f"{first} is deleted with its image")


def test_unavailable_runtime_fails(api: Api, name: str) -> None:
    made = api.post("/manifests", manifest(name, runtime="SparkPython"))
    ended = api.finished(api.post("/images", image(name, made["id"]), 202), 20)
    assert (ended["state"], ended["error"]["code"]) == ("Failed", "RuntimeNotSupported")
    broken = api.get(f"/images/{ended['resourceLocation'].rsplit('/', 1)[1]}")
    assert (broken["creationState"], broken["error"]) == ("Failed", ended["error"])


def test_failed_build_names_its_log(api: Api, name: str) -> None:
    body = manifest(name)
    body["targetRuntime"]["properties"] = {"pipRequirements": "no-such-package-anywhere==1.0"}
    made = api.post("/manifests", body)
    operation = api.post("/images", image(name, made["id"]), 202)
    running = api.get(operation)
    id_ = running["resourceLocation"].rsplit("/", 1)[1]
    lines = _read(api, api.get(f"/images/{id_}")["imageBuildLogUri"])
    ended = api.finished(operation)
    assert ended["state"] == "Failed"
    assert "no-such-package-anywhere" in lines
    # Clients of 2017 print the first detail of a 4xx error as the address of the log.
    assert 400 <= ended["error"]["statusCode"] < 500
    log_uri = ended["error"]["details"][0]["message"]
    assert log_uri == api.get(f"/images/{id_}")["imageBuildLogUri"]
    assert "no-such-package-anywhere" in _read(api, log_uri)


@pytest.fixture(scope="module")
def denied(api: Api) -> dict[str, str]:
    """Return the operation of a build for each field with the URL, which run at the same time."""
    return {field: _start_build(api, f"{field}-{uuid.uuid4().hex[:8]}", field) for field in URL_FIELDS}


def _start_build(api: Api, name: str, field: str) -> str:
    url = "http://169.254.169.254/latest/meta-data/iam"
    registered = api.post("/models", model(name, url=url if field == "model" else "data:,42"))
    body = manifest(name, registered["id"])
    if field == "asset":
        body["assets"].append({"id": "more", "url": url})
    if field in {"pipRequirements", "condaEnvFile"}:
        body["targetRuntime"]["properties"] = {field: url}
    made = api.post("/manifests", body)
    return str(api.post("/images", image(name, made["id"]), 202))


@pytest.mark.parametrize("field", URL_FIELDS)
def test_download_from_a_denied_address_fails(api: Api, denied: dict[str, str], field: str) -> None:
    """The chart's build.sources denies the address of a machine's credentials by default."""
    ended = api.finished(denied[field])
    assert (ended["state"], ended["error"]["code"]) == ("Failed", "SourceDenied")


def _read(api: Api, uri: str) -> str:
    response = api.http.get(uri, timeout=300)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/plain")
    return response.text


def test_filters_select_images(api: Api, built: Any) -> None:
    manifest_id = built["manifest"]["id"]
    for filters in (
        {"manifestId": manifest_id},
        {"manifestName": "Answer"},
        {"name": built["id"]},
        {"name": "Answer"},
    ):
        assert api.all("/images", **filters) == [built]
    assert api.all("/images", manifestName="nothing") == []


@pytest.mark.parametrize("manifest_id", ["nothing", "nothing:1"])
def test_image_needs_a_registered_manifest(api: Api, name: str, manifest_id: str) -> None:
    assert api("POST", "/images", 400, json=image(name, manifest_id)).json()["code"] == "ManifestNotFound"


def test_build_log_needs_a_token(api: Api, built: Any) -> None:
    api("GET", f"/images/{built['id']}/log", 401, headers={"Authorization": ""})
