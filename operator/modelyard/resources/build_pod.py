"""The pod of a build: what it mounts, what it is told, and how little it may do.

The layers builder needs nothing that the Pod Security Standard `restricted` refuses. The Docker builder
mounts the engine's socket from its node, which only the standard `privileged` allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from modelyard.builder.environment import conda_channels
from modelyard.builder.sources.egress_policy import (
    ALLOWED,
    DENIED,
    SCHEMES,
)
from modelyard.contract.build_request import (
    REQUEST_FILE,
    BuilderKind,
)
from modelyard.kube.types import Json
from modelyard.settings import OperatorSettings

CONTAINER: Final = "build"
_REQUEST: Final = "/etc/modelyard/request"
_WORKSPACE: Final = "/workspace"
_TMP: Final = "/tmp"  # noqa: S108 - the pod's own
_TMP_SIZE: Final = "256Mi"  # what needs more goes to the workspace
_CA: Final = "/etc/modelyard/ca"
_PIP: Final = "/etc/modelyard/pip"
_CONDA: Final = "/etc/modelyard/conda"
_REGISTRY: Final = "/etc/modelyard/registry"
_SIGNING: Final = "/etc/modelyard/signing"
_CLAIMS: Final = "/claims"
_SOCKET: Final = "/var/run/docker.sock"
_USER: Final = 10001  # of the operator's image


class BuildAttempt(NamedTuple):
    """Which version of which image, the attempt, and who makes it."""

    name: str  # of the Job
    image: str  # namespace/name
    version: int
    attempt: int
    reference: str  # registry/path:tag that it pushes
    builder: BuilderKind = BuilderKind.LAYERS
    claims: tuple[str, ...] = ()  # that it reads


class _Volume(NamedTuple):
    """A volume and where it is mounted."""

    name: str
    source: Json
    path: str
    writable: bool = False

    def as_volume(self) -> Json:
        return {"name": self.name, **self.source}

    def as_mount(self) -> Json:
        return {"name": self.name, "mountPath": self.path} | ({} if self.writable else {"readOnly": True})


def build_pod(build: BuildAttempt, settings: OperatorSettings) -> Json:
    """The pod's spec."""
    chosen = settings.build
    needs_engine = build.builder is BuilderKind.DOCKER
    volumes = list(_volumes(build, settings))
    return {
        "restartPolicy": "Never",
        "nodeSelector": chosen.node_selector | (chosen.docker_node_selector if needs_engine else {}),
        "tolerations": list(chosen.tolerations),
        "serviceAccountName": chosen.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "imagePullSecrets": [{"name": name} for name in chosen.image_pull_secrets],
        "securityContext": _security(build.builder),
        "containers": [
            {
                "name": CONTAINER,
                "image": chosen.image,
                "imagePullPolicy": chosen.image_pull_policy,
                "args": ["build"],
                "env": [
                    *({"name": name, "value": value} for name, value in _variables(build, settings).items()),
                    *chosen.extra_env,
                ],
                "resources": chosen.resources,
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [volume.as_mount() for volume in volumes],
            }
        ],
        "volumes": [volume.as_volume() for volume in volumes],
    }


def _security(builder: BuilderKind) -> Json:
    profile = {"seccompProfile": {"type": "RuntimeDefault"}}
    if builder is BuilderKind.DOCKER:
        # The engine's socket belongs to root and to a group whose number differs from node to node.
        return {"runAsUser": 0, "runAsGroup": 0, **profile}
    # The group reads what the kubelet projects, such as Secrets.
    return {"runAsNonRoot": True, "runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER, **profile}


def _volumes(build: BuildAttempt, settings: OperatorSettings) -> Iterator[_Volume]:
    """Secrets are mounted, not put into the environment: a rotated one reaches a build that is at work."""
    chosen = settings.build
    yield _Volume("request", {"secret": {"secretName": build.name}}, _REQUEST)
    room = {"emptyDir": {"sizeLimit": chosen.workspace_size}}
    yield _Volume("workspace", room, _WORKSPACE, writable=True)
    yield _Volume("tmp", {"emptyDir": {"sizeLimit": _TMP_SIZE}}, _TMP, writable=True)
    if chosen.ca_bundle_config_map:
        yield _Volume("ca", {"configMap": {"name": chosen.ca_bundle_config_map}}, _CA)
    if chosen.pip_config_secret:
        yield _Volume("pip", {"secret": {"secretName": chosen.pip_config_secret}}, _PIP)
    if chosen.conda.secret:
        yield _Volume("conda", {"secret": {"secretName": chosen.conda.secret}}, _CONDA)
    if chosen.registry_secret:
        yield _Volume("registry", {"secret": {"secretName": chosen.registry_secret}}, _REGISTRY)
    if chosen.signing_secret:
        yield _Volume("signing", {"secret": {"secretName": chosen.signing_secret}}, _SIGNING)
    for number, claim in enumerate(build.claims):
        # Read-only for the volume too, so that the kubelet gives no file of it to another group (fsGroup).
        mounted = {"persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
        yield _Volume(f"claim-{number}", mounted, f"{_CLAIMS}/{claim}")
    if build.builder is BuilderKind.DOCKER:
        socket = {"hostPath": {"path": chosen.docker_socket, "type": "Socket"}}
        yield _Volume("engine", socket, _SOCKET, writable=True)


def _variables(build: BuildAttempt, settings: OperatorSettings) -> dict[str, str]:
    """What modelyard.builder.job reads; what a cluster does not have is left out."""
    chosen, registry, sources = settings.build, settings.registry, settings.sources
    has_docker = build.builder is BuilderKind.DOCKER
    has_alias = registry.internal_name != registry.push
    values = {
        "TMPDIR": _WORKSPACE,
        "MODELYARD_BUILD_REQUEST": f"{_REQUEST}/{REQUEST_FILE}.gz",
        "MODELYARD_BUILD_WORKSPACE": _WORKSPACE,
        "MODELYARD_CA_BUNDLE": chosen.ca_bundle_config_map and f"{_CA}/ca.crt",
        "MODELYARD_PIP_CONF": chosen.pip_config_secret and f"{_PIP}/pip.conf",
        conda_channels.CHANNELS: " ".join(chosen.conda.channels),
        conda_channels.MIRRORS: _pairs(chosen.conda.mirrors),
        conda_channels.VIRTUAL_PACKAGES: _pairs(chosen.conda.virtual_packages),
        conda_channels.CREDENTIALS: chosen.conda.secret and f"{_CONDA}/credentials.json",
        "MODELYARD_REGISTRY_CONFIG": chosen.registry_secret and f"{_REGISTRY}/.dockerconfigjson",
        "MODELYARD_INSECURE_REGISTRIES": registry.insecure and registry.internal_name,
        "MODELYARD_REGISTRY_ALIASES": has_alias and f"{registry.push}={registry.internal_name}",
        "MODELYARD_ATTESTATIONS": not chosen.attestations and "false",
        "MODELYARD_SIGNING_KEY": chosen.signing_secret and _SIGNING,
        "MODELYARD_DOCKER_HOST": has_docker and f"unix://{_SOCKET}",
        "MODELYARD_DOCKER_NETWORK": has_docker and chosen.docker_network,
        "MODELYARD_CLAIMS": build.claims and _CLAIMS,
        SCHEMES: " ".join(sources.schemes),
        DENIED: " ".join(sources.denied_networks),
        ALLOWED: " ".join(sources.allowed_networks),
    }
    return {name: str(value) for name, value in values.items() if value}


def _pairs(values: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(values.items()))
