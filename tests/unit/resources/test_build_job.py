"""The build Job, its request, and derived names."""

from __future__ import annotations

import base64
import gzip
from typing import Any

import pytest

from modelyard.build.request import AssetInput, BuildRequest, Source
from modelyard.kube.types import Json
from modelyard.resources import labels
from modelyard.resources.build_job import Build, build_job, request_secret
from modelyard.resources.build_request import build_request, secrets_of
from modelyard.settings import Settings

BUILD = Build("build-abc-2-1", "default/m", 2, 1)
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


def pod(**settings: Any) -> Json:
    template: Json = build_job(BUILD, Settings.model_validate(settings))["spec"]["template"]
    spec: Json = template["spec"]
    return spec


def variables(**settings: Any) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in pod(**settings)["containers"][0]["env"]}


def test_a_job_says_what_it_builds() -> None:
    job = build_job(BUILD, Settings())
    assert job["metadata"]["name"] == BUILD.name
    assert job["metadata"]["labels"][labels.MANAGED_BY] == labels.MANAGER
    assert job["metadata"]["annotations"] == {
        labels.BUILD_IMAGE: "default/m",
        labels.BUILD_VERSION: "2",
        labels.BUILD_ATTEMPT: "1",
    }


def test_an_explained_failure_ends_the_job_and_a_lost_pod_does_not() -> None:
    spec = build_job(BUILD, Settings.model_validate({"build": {"deadlineSeconds": 7}}))["spec"]
    assert spec["activeDeadlineSeconds"] == 7
    assert spec["backoffLimit"] > 0
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["Ignore", "FailJob"]
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_the_pod_has_few_rights() -> None:
    spec = pod()
    assert not spec["automountServiceAccountToken"]
    assert spec["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"name": "request", "secret": {"secretName": BUILD.name}} in spec["volumes"]


@pytest.mark.parametrize(
    ("settings", "variable", "value"),
    [
        ({"build": {"caBundleConfigMap": "ca"}}, "MODELYARD_CA_BUNDLE", "/etc/modelyard/ca/ca.crt"),
        ({"build": {"pipConfigSecret": "pip"}}, "MODELYARD_PIP_CONF", "/etc/modelyard/pip/pip.conf"),
        (
            {"build": {"conda": {"secret": "c"}}},
            "MODELYARD_CONDA_CREDENTIALS",
            "/etc/modelyard/conda/credentials.json",
        ),
        (
            {"build": {"registrySecret": "r"}},
            "MODELYARD_REGISTRY_CONFIG",
            "/etc/modelyard/registry/.dockerconfigjson",
        ),
        ({"build": {"dockerNetwork": "host"}}, "MODELYARD_DOCKER_NETWORK", "host"),
        ({"registry": {"push": "p", "insecure": True}}, "MODELYARD_INSECURE_REGISTRIES", "p"),
        ({"registry": {"push": "p", "internal": "i"}}, "MODELYARD_REGISTRY_ALIASES", "p=i"),
    ],
)
def test_what_a_cluster_may_have(settings: dict[str, Any], variable: str, value: str) -> None:
    assert variables(**settings)[variable] == value
    assert variable not in variables()
    spec = pod(**settings)
    mounted = {mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
    assert mounted == {volume["name"] for volume in spec["volumes"]}


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
    request = build_request("default", "m", {"manifestId": "m:3"}, MANIFEST, MODELS, Settings(), credentials)
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
    request = build_request("default", "m", {"manifestId": "m:3"}, MANIFEST, models, Settings(), {"b": {}})
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


def test_builds_go_where_an_engine_is() -> None:
    chosen = {"nodeSelector": {"engine": "docker"}, "tolerations": [{"key": "build", "operator": "Exists"}]}
    settings = Settings.model_validate({"build": chosen})
    pod = build_job(BUILD, settings)["spec"]["template"]["spec"]
    assert {name: pod[name] for name in chosen} == chosen
