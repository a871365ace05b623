"""The pod of a build: its volumes, its environment variables and its restrictions.

The layers builder needs nothing that the Pod Security Standard `restricted` forbids. The Docker builder
mounts the socket of its node's Docker engine, which only the standard `privileged` allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from modelyard.contract.build_pod import (
    CA_FILE,
    CA_FOLDER,
    CLAIMS_FOLDER,
    CONDA_CREDENTIALS_FILE,
    CONDA_FOLDER,
    CONTAINER,
    DOCKER_SOCKET,
    HANDOFF,
    PACKAGES,
    PACKAGES_CONTAINER,
    PACKAGES_SOCKET,
    PIP_CONF_FILE,
    PIP_FOLDER,
    REGISTRY_CONFIG_FILE,
    REGISTRY_FOLDER,
    REQUEST_FILE,
    REQUEST_FOLDER,
    RUN_AS_USER,
    SIGNING_KEY_FOLDER,
    TMP,
    WORKSPACE,
    BuildVariable,
)
from modelyard.contract.build_request import BuilderKind
from modelyard.kube.types import Json
from modelyard.settings import OperatorSettings

# https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions
_LOST_NODE_TAINTS: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_LOST_NODE_SECONDS: Final = 30
_HANDOFF_SIZE: Final = "1Mi"  # a socket
_IDLE_REQUESTS: Final = {"cpu": "50m", "memory": "32Mi"}
_TMP_SIZE: Final = "256Mi"  # larger files go to the workspace, see TMPDIR below


class BuildAttempt(NamedTuple):
    """One attempt to build one version of an Image."""

    name: str  # of the Job
    image: str  # namespace/name
    version: int
    attempt: int
    reference: str  # registry/path:tag that the build pushes
    builder: BuilderKind = BuilderKind.LAYERS
    claims: tuple[str, ...] = ()  # PersistentVolumeClaims that the build reads


class _Volume(NamedTuple):
    """A volume of the pod and its mount path."""

    name: str
    source: Json
    path: str
    writable: bool = False

    def as_volume(self) -> Json:
        return {"name": self.name, **self.source}

    def as_mount(self) -> Json:
        mount: Json = {"name": self.name, "mountPath": self.path}
        return mount if self.writable else {**mount, "readOnly": True}


def build_pod(build: BuildAttempt, settings: OperatorSettings) -> Json:
    """Return the spec of the pod.

    The container of the build comes first, because the kubelet starts containers in their order. The second
    container installs users' packages. It mounts no Secret: neither files nor variables hold a credential.
    """
    chosen = settings.build
    needs_engine = build.builder is BuilderKind.DOCKER
    volumes = list(_volumes(build, settings))
    env = [
        *({"name": name, "value": value} for name, value in _variables(build, settings).items()),
        *chosen.extra_env,
    ]
    containers = [_container(CONTAINER, "build", env, chosen.resources, volumes, settings)]
    if not needs_engine:
        packages = _packages_volumes(settings)
        volumes += packages
        shared = (volume for volume in packages if volume.path != TMP)
        # Each container can only read the folder of the other one.
        containers[0]["volumeMounts"] += [
            volume._replace(writable=not volume.writable).as_mount() for volume in shared
        ]
        containers.append(_packages_container(packages, settings))
    return {
        "restartPolicy": "Never",
        "nodeSelector": chosen.node_selector | (chosen.docker_node_selector if needs_engine else {}),
        "tolerations": [*chosen.tolerations, *_lost_node_tolerations(chosen.tolerations)],
        **({"priorityClassName": chosen.priority_class_name} if chosen.priority_class_name else {}),
        "serviceAccountName": chosen.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "shareProcessNamespace": False,
        "imagePullSecrets": [{"name": name} for name in chosen.image_pull_secrets],
        "securityContext": _security(build.builder),
        "containers": containers,
        "volumes": [volume.as_volume() for volume in volumes],
    }


def _lost_node_tolerations(tolerations: Sequence[Json]) -> Iterator[Json]:
    """Yield tolerations with which Kubernetes deletes the pod of a lost node after 30 s, not 5 min.

    A build can always start again. A toleration of the chart for the same taint has priority.
    """
    for taint in _LOST_NODE_TAINTS:
        if all(toleration.get("key") != taint for toleration in tolerations):
            yield {
                "key": taint,
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": _LOST_NODE_SECONDS,
            }


def _container(
    name: str,
    command: str,
    env: list[Json],
    resources: Json,
    volumes: Sequence[_Volume],
    settings: OperatorSettings,
) -> Json:
    return {
        "name": name,
        "image": settings.build.image,
        "imagePullPolicy": settings.build.image_pull_policy,
        "args": [command],
        "env": env,
        "resources": resources,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [volume.as_mount() for volume in volumes],
    }


def _packages_volumes(settings: OperatorSettings) -> list[_Volume]:
    """Return the volumes of the container that installs users' packages."""
    size = {"sizeLimit": settings.build.workspace_size}
    return [
        _Volume("packages", {"emptyDir": size}, PACKAGES, writable=True),
        _Volume("packages-tmp", {"emptyDir": {"sizeLimit": _TMP_SIZE}}, TMP, writable=True),
        _Volume("handoff", {"emptyDir": {"sizeLimit": _HANDOFF_SIZE}}, HANDOFF),
    ]


def _packages_container(volumes: Sequence[_Volume], settings: OperatorSettings) -> Json:
    variables = {str(BuildVariable.PACKAGES_SOCKET): PACKAGES_SOCKET, "TMPDIR": PACKAGES}
    env = [{"name": name, "value": value} for name, value in variables.items()]
    resources = settings.build.resources
    # The limits are those of the build. The container is idle in most builds, so its requests are small.
    requests = {**resources.get("requests", {}), **_IDLE_REQUESTS}
    resources = {**resources, "requests": requests}
    return _container(PACKAGES_CONTAINER, "build-packages", env, resources, volumes, settings)


def _security(builder: BuilderKind) -> Json:
    profile = {"seccompProfile": {"type": "RuntimeDefault"}}
    if builder is BuilderKind.DOCKER:
        # The engine's socket belongs to root and to a group whose number differs from node to node.
        return {"runAsUser": 0, "runAsGroup": 0, **profile}
    # fsGroup lets the process read Secrets and ConfigMaps, which the kubelet mounts as root's.
    return {
        "runAsNonRoot": True,
        "runAsUser": RUN_AS_USER,
        "runAsGroup": RUN_AS_USER,
        "fsGroup": RUN_AS_USER,
        **profile,
    }


def _volumes(build: BuildAttempt, settings: OperatorSettings) -> Iterator[_Volume]:
    """Yield the volumes of the pod.

    Secrets are volumes, not environment variables: the kubelet updates the files of a running build.
    """
    chosen = settings.build
    yield _secret_volume("request", build.name, REQUEST_FOLDER)
    workspace = {"emptyDir": {"sizeLimit": chosen.workspace_size}}
    yield _Volume("workspace", workspace, WORKSPACE, writable=True)
    yield _Volume("tmp", {"emptyDir": {"sizeLimit": _TMP_SIZE}}, TMP, writable=True)
    if chosen.ca_bundle_config_map:
        yield _Volume("ca", {"configMap": {"name": chosen.ca_bundle_config_map}}, CA_FOLDER)
    if chosen.pip_config_secret:
        yield _secret_volume("pip", chosen.pip_config_secret, PIP_FOLDER)
    if chosen.conda.secret:
        yield _secret_volume("conda", chosen.conda.secret, CONDA_FOLDER)
    if chosen.registry_secret:
        yield _secret_volume("registry", chosen.registry_secret, REGISTRY_FOLDER)
    if chosen.signing_secret:
        yield _secret_volume("signing", chosen.signing_secret, SIGNING_KEY_FOLDER)
    for number, claim in enumerate(build.claims):
        # The volume is read-only, not only its mount: otherwise the kubelet would apply fsGroup to its files.
        source = {"persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
        yield _Volume(f"claim-{number}", source, f"{CLAIMS_FOLDER}/{claim}")
    if build.builder is BuilderKind.DOCKER:
        socket = {"hostPath": {"path": chosen.docker_socket, "type": "Socket"}}
        yield _Volume("engine", socket, DOCKER_SOCKET, writable=True)


def _secret_volume(name: str, secret: str, path: str) -> _Volume:
    return _Volume(name, {"secret": {"secretName": secret}}, path)


def _variables(build: BuildAttempt, settings: OperatorSettings) -> dict[str, str]:
    """Return the environment variables of the pod without those that have no value in this cluster."""
    chosen, registry, sources = settings.build, settings.registry, settings.sources
    has_docker = build.builder is BuilderKind.DOCKER
    offered = sources.repositories_for(build.image.partition("/")[0])
    has_alias = registry.internal_name != registry.push
    values = {
        "TMPDIR": WORKSPACE,
        BuildVariable.REQUEST: f"{REQUEST_FOLDER}/{REQUEST_FILE}",
        BuildVariable.WORKSPACE: WORKSPACE,
        BuildVariable.CA_BUNDLE: chosen.ca_bundle_config_map and f"{CA_FOLDER}/{CA_FILE}",
        BuildVariable.PIP_CONF: chosen.pip_config_secret and f"{PIP_FOLDER}/{PIP_CONF_FILE}",
        BuildVariable.CONDA_CHANNELS: " ".join(chosen.conda.channels),
        BuildVariable.CONDA_MIRRORS: _pairs(chosen.conda.mirrors),
        BuildVariable.CONDA_VIRTUAL_PACKAGES: _pairs(chosen.conda.virtual_packages),
        BuildVariable.CONDA_CREDENTIALS: chosen.conda.secret and f"{CONDA_FOLDER}/{CONDA_CREDENTIALS_FILE}",
        BuildVariable.REGISTRY_CONFIG: chosen.registry_secret and f"{REGISTRY_FOLDER}/{REGISTRY_CONFIG_FILE}",
        BuildVariable.INSECURE_REGISTRIES: registry.insecure and registry.internal_name,
        BuildVariable.REGISTRY_ALIASES: has_alias and f"{registry.push}={registry.internal_name}",
        BuildVariable.ATTESTATIONS: not chosen.attestations and "false",
        BuildVariable.SIGNING_KEY: chosen.signing_secret and SIGNING_KEY_FOLDER,
        BuildVariable.ENVIRONMENT_MAX_AGE: chosen.environment_max_age_seconds,
        BuildVariable.DOCKER_HOST: has_docker and f"unix://{DOCKER_SOCKET}",
        BuildVariable.DOCKER_NETWORK: has_docker and chosen.docker_network,
        BuildVariable.DOCKER_CREDENTIALS: has_docker and chosen.docker_share_credentials and "true",
        BuildVariable.PACKAGES: not has_docker and PACKAGES,
        BuildVariable.PACKAGES_SOCKET: not has_docker and PACKAGES_SOCKET,
        BuildVariable.CLAIMS: build.claims and CLAIMS_FOLDER,
        BuildVariable.FETCH_SCHEMES: " ".join(sources.schemes),
        BuildVariable.FETCH_DENIED_NETWORKS: " ".join(sources.denied_networks),
        BuildVariable.FETCH_ALLOWED_NETWORKS: " ".join(sources.allowed_networks),
        BuildVariable.FETCH_REPOSITORIES: " ".join(offered),
        BuildVariable.OWN_REPOSITORIES: offered and " ".join(registry.repository_names),
    }
    return {str(name): str(value) for name, value in values.items() if value}


def _pairs(values: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(values.items()))
