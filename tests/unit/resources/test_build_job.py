"""The build Job, its request, and derived names."""

from __future__ import annotations

import base64
import gzip

import pytest

from modelyard.api import labels
from modelyard.contract.build_request import (
    AssetInput,
    BuildRequest,
    Source,
)
from modelyard.kube.types import Json
from modelyard.reconcile.builds.request import (
    build_request,
    secrets_of,
)
from modelyard.resources.build_job import build_job, request_secret
from modelyard.resources.build_pod import BuildAttempt
from modelyard.settings import OperatorSettings

BUILD = BuildAttempt("build-abc-2-1", "default/m", 2, 1, "r.example/m:t")
REQUEST = BuildRequest(
    repository="r/x",
    tag="t",
    base_image="python",
    driver="driver",
    assets=(AssetInput(id="driver", source=Source(content="x")),),
)
MANIFEST: Json = {
    "assets": [
        {"id": "driver", "content": "x"},
        {"id": "data", "url": "https://h/d", "secretRef": {"name": "b"}, "unpack": True},
    ],
    "driverProgram": "driver",
    "modelIds": ["m:2"],
    "targetRuntime": {"runtimeType": "Python", "properties": {"pipRequirements": "numpy"}},
}
MODELS: dict[str, Json] = {
    "m:2": {"url": "https://h/m", "secretRef": {"name": "a"}},
    "n:1": {"url": "oci://r/n", "name": "n.pkl", "digest": "sha256:1"},
}


def test_a_job_says_what_it_builds() -> None:
    job = build_job(BUILD, OperatorSettings())
    assert job["metadata"]["name"] == BUILD.name
    assert job["metadata"]["labels"][labels.MANAGED_BY] == labels.MANAGER
    assert job["metadata"]["annotations"] == {
        labels.BUILD_IMAGE: "default/m",
        labels.BUILD_VERSION: "2",
        labels.BUILD_ATTEMPT: "1",
        labels.BUILD_REFERENCE: "r.example/m:t",
    }


def test_a_pods_labels_are_the_clusters_and_ours() -> None:
    chosen = {"azure.workload.identity/use": "true", labels.MANAGED_BY: "somebody"}
    job = build_job(BUILD, OperatorSettings.model_validate({"build": {"podLabels": chosen}}))
    assert job["spec"]["template"]["metadata"]["labels"] == chosen | job["metadata"]["labels"]


def test_an_explained_failure_ends_the_job_and_a_lost_pod_does_not() -> None:
    spec = build_job(BUILD, OperatorSettings.model_validate({"build": {"deadlineSeconds": 7}}))["spec"]
    assert spec["activeDeadlineSeconds"] == 7
    assert spec["backoffLimit"] > 0
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["Ignore", "FailJob"]
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_the_request_goes_with_its_job() -> None:
    secret = request_secret(BUILD, "uid", REQUEST)
    (owner,) = secret["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", BUILD.name, "uid")
    packed = base64.b64decode(secret["data"]["request.json.gz"])
    assert BuildRequest.model_validate_json(gzip.decompress(packed)) == REQUEST
    assert secret == request_secret(BUILD, "uid", REQUEST)


def test_secrets_that_downloads_need() -> None:
    assert secrets_of(MANIFEST, MODELS) == ["a", "b"]
    assert secrets_of({**MANIFEST, "assets": MANIFEST["assets"][:1]}, {}) == []


def test_a_request_from_records() -> None:
    credentials = {"a": {"token": "t"}, "b": {"user": "u"}}
    request = build_request(
        "default", "m", {"manifestId": "m:3"}, MANIFEST, MODELS, OperatorSettings(), credentials
    )
    assert request.repository == "localhost:5000/modelyard/default/m"
    assert request.base_image == "python:3.11-slim"
    assert request.pip_requirements == "numpy"
    assert [(m.name, m.version, m.source.credentials) for m in request.models] == [
        ("m", 2, {"token": "t"}),
        ("n.pkl", 1, {}),
    ]
    assert [(a.id, a.source.unpack, a.source.credentials) for a in request.assets] == [
        ("driver", False, {}),
        ("data", True, {"user": "u"}),
    ]
    assert request.labels["modelyard.dev/manifest"] == "m:3"
    assert request.labels["modelyard.dev/models"] == "m:2,n:1"


REGISTERED = {"url": "https://h/m", "modelyard.dev/registration": "x"}


@pytest.mark.parametrize(
    ("models", "registrations"),
    [
        ({"m:1": REGISTERED}, {"model m": "x"}),
        ({"m:7": REGISTERED}, {"model m": "x"}),
        ({"m:1": REGISTERED, "m:2": REGISTERED}, {"model m:1": "x", "model m:2": "x"}),
        ({"image:1": REGISTERED}, {"model image": "x"}),
        ({"m:1": {"url": "https://h/m"}}, {}),
    ],
)
def test_registrations_do_not_depend_on_version_numbers(
    models: dict[str, Json], registrations: dict[str, str]
) -> None:
    request = build_request(
        "default", "m", {"manifestId": "m:3"}, MANIFEST, models, OperatorSettings(), {"b": {}}
    )
    assert request.registrations == registrations


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("model-m-1", ("Model", "m", 1)),
        ("image-a-1-2", ("Image", "a-1", 2)),
        ("service-image-m-1-3", ("Service", "image-m-1", 3)),
        ("manifest-a.b-12", ("Manifest", "a.b", 12)),
        ("web-1", None),
        ("model-m", None),
        ("model-m-1-log", None),
    ],
)
def test_names_of_records(text: str, parts: tuple[str, str, int] | None) -> None:
    assert labels.parse_revision_name(text) == parts
    if parts:
        assert labels.revision_name(*parts) == text


def test_names_of_jobs() -> None:
    names = {
        labels.job_name(uid, version, attempt) for uid in "ab" for version in (1, 2) for attempt in (1, 2)
    }
    assert len(names) == 8
    assert max(map(len, names)) <= 63 - len("-xxxxx")
