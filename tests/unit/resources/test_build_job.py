"""The Job of a build and the Secret with its request."""

from __future__ import annotations

import base64
import gzip

from modelyard.api import labels
from modelyard.contract.build_request import (
    AssetInput,
    BuildRequest,
    Source,
)
from modelyard.resources.build_job import build_job, packed_request, request_secret
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


def test_job_is_annotated_with_the_build() -> None:
    job = build_job(BUILD, OperatorSettings())
    assert job["metadata"]["name"] == BUILD.name
    assert job["metadata"]["labels"][labels.MANAGED_BY] == labels.MANAGER
    assert job["metadata"]["annotations"] == {
        labels.BUILD_IMAGE: "default/m",
        labels.BUILD_VERSION: "2",
        labels.BUILD_ATTEMPT: "1",
        labels.BUILD_REFERENCE: "r.example/m:t",
    }


def test_pod_has_the_labels_of_settings_and_job() -> None:
    chosen = {"azure.workload.identity/use": "true", labels.MANAGED_BY: "another"}
    job = build_job(BUILD, OperatorSettings.model_validate({"build": {"podLabels": chosen}}))
    assert job["spec"]["template"]["metadata"]["labels"] == chosen | job["metadata"]["labels"]


def test_job_fails_at_an_explained_failure_and_replaces_a_lost_pod() -> None:
    spec = build_job(BUILD, OperatorSettings.model_validate({"build": {"deadlineSeconds": 7}}))["spec"]
    assert spec["activeDeadlineSeconds"] == 7
    assert spec["backoffLimit"] > 0
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["Ignore", "FailJob"]
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_secret_of_the_request_is_owned_by_its_job() -> None:
    secret = request_secret(BUILD, "uid", packed_request(REQUEST))
    (owner,) = secret["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", BUILD.name, "uid")
    compressed = base64.b64decode(secret["data"]["request.json.gz"])
    assert BuildRequest.model_validate_json(gzip.decompress(compressed)) == REQUEST
    assert packed_request(REQUEST) == packed_request(REQUEST)
