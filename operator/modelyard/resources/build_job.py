"""A build as a Job in the operator's namespace, and the Secret with its request."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from typing import Final, NamedTuple

from modelyard.build.environment import channels
from modelyard.build.fetch.policy import ALLOWED, DENIED, SCHEMES
from modelyard.build.request import REQUEST_FILE, BuildRequest
from modelyard.kube.types import JOBS, SECRETS, Json
from modelyard.resources import labels
from modelyard.settings import Settings

CONTAINER: Final = "build"
_FAILED: Final = 1  # the builder's exit code for a failure that it has explained
_LOST_PODS: Final = 2  # how many pods may vanish without an explanation
_REQUEST: Final = "/etc/modelyard/request"
_WORKSPACE: Final = "/workspace"
_CA: Final = "/etc/modelyard/ca"
_PIP: Final = "/etc/modelyard/pip"
_CONDA: Final = "/etc/modelyard/conda"
_REGISTRY: Final = "/etc/modelyard/registry"
_SOCKET: Final = "/var/run/docker.sock"


class Build(NamedTuple):
    """Which version of which image, and the attempt."""

    name: str  # of the Job
    image: str  # namespace/name
    version: int
    attempt: int


def build_job(build: Build, settings: Settings) -> Json:
    """The Job: a failure that the builder explains ends it, a pod that is lost is replaced."""
    return {
        **JOBS.header(),
        "metadata": {"name": build.name, "labels": _labels(), "annotations": _annotations(build)},
        "spec": {
            "backoffLimit": _LOST_PODS,
            "activeDeadlineSeconds": settings.build.deadline_seconds,
            "ttlSecondsAfterFinished": settings.build.ttl_seconds_after_finished,
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "Ignore",
                        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                    },
                    {
                        "action": "FailJob",
                        "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [_FAILED]},
                    },
                ]
            },
            "template": {
                "metadata": {"labels": _labels(), "annotations": _annotations(build)},
                "spec": _pod(build, settings),
            },
        },
    }


def request_secret(build: Build, job_uid: str, request: BuildRequest) -> Json:
    """The request, which holds credentials; it goes with its Job."""
    text = request.model_dump_json(by_alias=True, exclude_defaults=True).encode()
    packed = base64.b64encode(gzip.compress(text, mtime=0)).decode()
    return {
        **SECRETS.header(),
        "metadata": {
            "name": build.name,
            "labels": _labels(),
            "ownerReferences": [{**JOBS.header(), "name": build.name, "uid": job_uid, "controller": True}],
        },
        "type": "modelyard.dev/build-request",
        "immutable": True,
        "data": {f"{REQUEST_FILE}.gz": packed},
    }


def _labels() -> Json:
    return {labels.MANAGED_BY: labels.MANAGER, "app.kubernetes.io/component": "build"}


def _annotations(build: Build) -> Json:
    return {
        labels.BUILD_IMAGE: build.image,
        labels.BUILD_VERSION: str(build.version),
        labels.BUILD_ATTEMPT: str(build.attempt),
    }


def _pod(build: Build, settings: Settings) -> Json:
    volumes, mounts, variables = _optional(settings)
    return {
        "restartPolicy": "Never",
        "nodeSelector": settings.build.node_selector,
        "tolerations": list(settings.build.tolerations),
        "serviceAccountName": settings.build.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "imagePullSecrets": [{"name": name} for name in settings.build.image_pull_secrets],
        # The engine's socket belongs to root and to a group whose number differs from node to node.
        "securityContext": {"runAsUser": 0, "runAsGroup": 0},
        "containers": [
            {
                "name": CONTAINER,
                "image": settings.build.image,
                "imagePullPolicy": settings.build.image_pull_policy,
                "args": ["build"],
                "env": [
                    {"name": "MODELYARD_BUILD_REQUEST", "value": f"{_REQUEST}/{REQUEST_FILE}.gz"},
                    {"name": "MODELYARD_BUILD_WORKSPACE", "value": _WORKSPACE},
                    {"name": "MODELYARD_DOCKER_HOST", "value": f"unix://{_SOCKET}"},
                    *({"name": name, "value": value} for name, value in _sources(settings).items()),
                    *({"name": name, "value": value} for name, value in _conda(settings).items()),
                    *({"name": name, "value": value} for name, value in variables.items()),
                ],
                "resources": settings.build.resources,
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [
                    {"name": "request", "mountPath": _REQUEST, "readOnly": True},
                    {"name": "workspace", "mountPath": _WORKSPACE},
                    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
                    {"name": "engine", "mountPath": _SOCKET},
                    *mounts,
                ],
            }
        ],
        "volumes": [
            {"name": "request", "secret": {"secretName": build.name}},
            {"name": "workspace", "emptyDir": {"sizeLimit": settings.build.workspace_size}},
            {"name": "tmp", "emptyDir": {}},
            {"name": "engine", "hostPath": {"path": settings.build.docker_socket, "type": "Socket"}},
            *volumes,
        ],
    }


def _sources(settings: Settings) -> dict[str, str]:
    """Variables that say where downloads may lead."""
    sources = settings.sources
    return {
        SCHEMES: " ".join(sources.schemes),
        DENIED: " ".join(sources.denied_networks),
        ALLOWED: " ".join(sources.allowed_networks),
    }


def _conda(settings: Settings) -> dict[str, str]:
    """Variables that say where conda packages come from."""
    conda = settings.build.conda
    return {
        channels.CHANNELS: " ".join(conda.channels),
        channels.MIRRORS: _pairs(conda.mirrors),
        channels.VIRTUAL_PACKAGES: _pairs(conda.virtual_packages),
    }


def _pairs(values: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(values.items()))


def _optional(settings: Settings) -> tuple[list[Json], list[Json], dict[str, str]]:
    """Volumes, mounts and variables of what a cluster may or may not have."""
    build, registry = settings.build, settings.registry
    volumes: list[Json] = []
    mounts: list[Json] = []
    variables: dict[str, str] = {}
    if build.ca_bundle_config_map:
        volumes.append({"name": "ca", "configMap": {"name": build.ca_bundle_config_map}})
        mounts.append({"name": "ca", "mountPath": _CA, "readOnly": True})
        variables["MODELYARD_CA_BUNDLE"] = f"{_CA}/ca.crt"
    if build.pip_config_secret:
        volumes.append({"name": "pip", "secret": {"secretName": build.pip_config_secret}})
        mounts.append({"name": "pip", "mountPath": _PIP, "readOnly": True})
        variables["MODELYARD_PIP_CONF"] = f"{_PIP}/pip.conf"
    if build.conda.secret:
        volumes.append({"name": "conda", "secret": {"secretName": build.conda.secret}})
        mounts.append({"name": "conda", "mountPath": _CONDA, "readOnly": True})
        variables[channels.CREDENTIALS] = f"{_CONDA}/credentials.json"
    if build.registry_secret:
        volumes.append({"name": "registry", "secret": {"secretName": build.registry_secret}})
        mounts.append({"name": "registry", "mountPath": _REGISTRY, "readOnly": True})
        variables["MODELYARD_REGISTRY_CONFIG"] = f"{_REGISTRY}/.dockerconfigjson"
    if build.docker_network:
        variables["MODELYARD_DOCKER_NETWORK"] = build.docker_network
    if registry.insecure:
        variables["MODELYARD_INSECURE_REGISTRIES"] = registry.internal_name
    if registry.internal_name != registry.push:
        variables["MODELYARD_REGISTRY_ALIASES"] = f"{registry.push}={registry.internal_name}"
    return volumes, mounts, variables
