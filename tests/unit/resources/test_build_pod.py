"""The pod of a build. Both builders have the same pod, except for access to the Docker engine."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.api.manifest import BUILDERS
from modelyard.contract.build_request import BuilderKind
from modelyard.kube.types import Json
from modelyard.resources.build_pod import BuildAttempt, build_pod
from modelyard.settings import OperatorSettings

LAYERS = BuildAttempt("build-abc-2-1", "default/m", 2, 1, "r.example/m:t", BuilderKind.LAYERS)
DOCKER = LAYERS._replace(builder=BuilderKind.DOCKER)
BOTH = pytest.mark.parametrize("build", [LAYERS, DOCKER], ids=["layers", "docker"])


def pod(job: BuildAttempt = LAYERS, **settings: Any) -> Json:
    return build_pod(job, OperatorSettings.model_validate(settings))


def variables(job: BuildAttempt = LAYERS, **settings: Any) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in pod(job, **settings)["containers"][0]["env"]}


def test_builders_have_the_same_names_in_api_settings_and_contract() -> None:
    settings = OperatorSettings.model_validate({"build": {"builder": "Docker"}})
    assert tuple(BuilderKind) == BUILDERS == settings.build.builders


def test_pod_of_the_layers_builder_meets_the_restricted_standard() -> None:
    """Compare with https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted."""
    spec = pod(LAYERS._replace(claims=("models",)))
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["runAsUser"] != 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    kinds = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
    assert not [name for name in spec if name.startswith("host")]


@BOTH
def test_container_has_no_privileges(build: BuildAttempt) -> None:
    spec = pod(build)
    assert not spec["automountServiceAccountToken"]
    assert spec["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"name": "request", "secret": {"secretName": build.name}} in spec["volumes"]


def test_container_of_the_packages_has_no_secret() -> None:
    proxy = {"name": "HTTPS_PROXY", "value": "http://me:s3cret@proxy"}
    secrets = {"registrySecret": "r", "pipConfigSecret": "p", "signingSecret": "s", "conda": {"secret": "c"}}
    spec = pod(LAYERS._replace(claims=("models",)), build={**secrets, "extraEnv": [proxy]})
    build, packages = spec["containers"]
    assert [build["name"], packages["name"]] == ["build", "packages"]
    kinds = {volume["name"]: next(kind for kind in volume if kind != "name") for volume in spec["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in packages["volumeMounts"]}
    assert mounts.keys() == {"/packages", "/tmp", "/handoff"}
    assert {kinds[mount["name"]] for mount in mounts.values()} == {"emptyDir"}
    assert {entry["name"] for entry in packages["env"]} == {"MODELYARD_PACKAGES_SOCKET", "TMPDIR"}
    assert not [entry for entry in packages["env"] if "valueFrom" in entry or "s3cret" in entry["value"]]
    assert not spec["shareProcessNamespace"]
    assert not spec["automountServiceAccountToken"]
    assert packages["securityContext"] == build["securityContext"]


def test_folder_of_a_container_is_read_only_in_the_other_one() -> None:
    build, packages = pod()["containers"]
    for folder, owner, reader in (("/packages", packages, build), ("/handoff", build, packages)):
        mounts = [
            next(mount for mount in container["volumeMounts"] if mount["mountPath"] == folder)
            for container in (owner, reader)
        ]
        assert [mount.get("readOnly", False) for mount in mounts] == [False, True]
        assert mounts[0]["name"] == mounts[1]["name"]


def test_container_of_the_packages_has_the_limits_of_the_build_and_small_requests() -> None:
    resources = {"requests": {"cpu": "1", "ephemeral-storage": "5Gi"}, "limits": {"memory": "8Gi"}}
    build, packages = pod(build={"resources": resources})["containers"]
    assert build["resources"] == resources
    assert packages["resources"]["limits"] == {"memory": "8Gi"}
    assert packages["resources"]["requests"] == {"cpu": "50m", "memory": "32Mi", "ephemeral-storage": "5Gi"}


def test_pod_of_the_docker_builder_has_one_container() -> None:
    spec = pod(DOCKER)
    assert [container["name"] for container in spec["containers"]] == ["build"]
    assert not [name for name in variables(DOCKER) if name.startswith("MODELYARD_PACKAGES")]


def test_only_the_docker_builder_mounts_the_engines_socket() -> None:
    engine = {"name": "engine", "hostPath": {"path": "/run/docker.sock", "type": "Socket"}}
    settings = {"build": {"dockerSocket": "/run/docker.sock", "dockerNetwork": "host"}}
    assert engine in pod(DOCKER, **settings)["volumes"]
    assert engine not in pod(LAYERS, **settings)["volumes"]
    assert variables(DOCKER, **settings)["MODELYARD_DOCKER_NETWORK"] == "host"
    assert not [name for name in variables(LAYERS, **settings) if "DOCKER" in name]


@BOTH
def test_claims_of_the_build_are_mounted_read_only(build: BuildAttempt) -> None:
    settings = {"sources": {"claims": {"models": ["*"], "other": ["*"]}}}
    spec = pod(build._replace(claims=("models",)), **settings)
    read_only = {"claimName": "models", "readOnly": True}
    claims = [volume for volume in spec["volumes"] if "persistentVolumeClaim" in volume]
    assert claims == [{"name": "claim-0", "persistentVolumeClaim": read_only}]
    (mount,) = (mount for mount in spec["containers"][0]["volumeMounts"] if mount["name"] == "claim-0")
    assert mount == {"name": "claim-0", "mountPath": "/claims/models", "readOnly": True}
    environment = variables(build._replace(claims=("models",)), **settings)
    assert environment["MODELYARD_CLAIMS"] == "/claims"
    assert "MODELYARD_CLAIMS" not in variables(build, **settings)
    assert not [volume for volume in pod(build, **settings)["volumes"] if "persistentVolumeClaim" in volume]


@BOTH
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
            {"build": {"conda": {"mirrors": {"b": "https://b", "a": "https://a"}}}},
            "MODELYARD_CONDA_MIRRORS",
            "a=https://a b=https://b",
        ),
        (
            {"build": {"registrySecret": "r"}},
            "MODELYARD_REGISTRY_CONFIG",
            "/etc/modelyard/registry/.dockerconfigjson",
        ),
        ({"registry": {"push": "p", "insecure": True}}, "MODELYARD_INSECURE_REGISTRIES", "p"),
        ({"registry": {"push": "p", "internal": "i"}}, "MODELYARD_REGISTRY_ALIASES", "p=i"),
        ({"build": {"attestations": False}}, "MODELYARD_ATTESTATIONS", "false"),
        ({"build": {"signingSecret": "cosign"}}, "MODELYARD_SIGNING_KEY", "/etc/modelyard/signing"),
        ({"sources": {"schemes": ["https", "s3"]}}, "MODELYARD_FETCH_SCHEMES", "https s3"),
        ({"build": {"extraEnv": [{"name": "HTTPS_PROXY", "value": "http://p"}]}}, "HTTPS_PROXY", "http://p"),
    ],
)
def test_optional_setting_sets_its_variable_and_mount(
    build: BuildAttempt, settings: dict[str, Any], variable: str, value: str
) -> None:
    assert variables(build, **settings)[variable] == value
    assert variable not in variables(build)
    spec = pod(build, **settings)
    mounted = {mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
    assert mounted == {volume["name"] for volume in spec["volumes"]} - {"packages-tmp"}


def test_repositories_of_the_namespace_are_offered_to_the_build() -> None:
    settings = {
        "registry": {"push": "p", "internal": "i", "repository": "own"},
        "sources": {
            "repositories": {"p/a": [LAYERS.image.partition("/")[0]], "p/b": ["other"], "p/c": ["*"]}
        },
    }
    found = variables(LAYERS, **settings)
    assert found["MODELYARD_FETCH_REPOSITORIES"] == "p/a p/c"
    assert found["MODELYARD_OWN_REPOSITORIES"] == "i/own p/own"
    assert "MODELYARD_OWN_REPOSITORIES" not in variables(LAYERS)


def test_secrets_are_mounted_as_folders() -> None:
    """The kubelet updates neither environment variables nor subPath mounts when a Secret changes."""
    container = pod(build={"registrySecret": "r", "pipConfigSecret": "p"})["containers"][0]
    assert not [entry for entry in container["env"] if "valueFrom" in entry]
    assert not [mount for mount in container["volumeMounts"] if "subPath" in mount]


def test_writable_volumes_have_size_limits() -> None:
    spec = pod(build={"workspaceSize": "7Gi"})
    own = [volume for volume in spec["volumes"] if "emptyDir" in volume]
    sizes = {volume["name"]: volume["emptyDir"]["sizeLimit"] for volume in own}
    of_packages = {"packages": "7Gi", "packages-tmp": "256Mi", "handoff": "1Mi"}
    assert sizes == {"workspace": "7Gi", "tmp": "256Mi", **of_packages}
    assert variables()["TMPDIR"] == variables()["MODELYARD_BUILD_WORKSPACE"]


def test_node_selector_and_tolerations_are_set() -> None:
    chosen = {"nodeSelector": {"pool": "builds"}, "tolerations": [{"key": "build", "operator": "Exists"}]}
    settings = {"build": chosen | {"dockerNodeSelector": {"engine": "docker"}}}
    assert pod(LAYERS, **settings)["nodeSelector"] == chosen["nodeSelector"]
    assert pod(DOCKER, **settings)["nodeSelector"] == {"pool": "builds", "engine": "docker"}
    for builder in (LAYERS, DOCKER):
        assert pod(builder, **settings)["tolerations"][:1] == chosen["tolerations"]


def test_pod_has_the_priority_of_the_settings() -> None:
    assert "priorityClassName" not in pod()
    assert pod(build={"priorityClassName": "builds"})["priorityClassName"] == "builds"


def test_pod_leaves_a_lost_node_after_30_seconds() -> None:
    unreachable = "node.kubernetes.io/unreachable"
    seconds = {one["key"]: one["tolerationSeconds"] for one in pod()["tolerations"]}
    assert seconds == {"node.kubernetes.io/not-ready": 30, unreachable: 30}
    chosen = {"key": unreachable, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 600}
    assert chosen in pod(build={"tolerations": [chosen]})["tolerations"]
    assert len(pod(build={"tolerations": [chosen]})["tolerations"]) == 2
