"""Settings of the operator: one YAML file, written by the chart and validated here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from modelyard.api.pod.settings import PodSettings
from modelyard.scoring.contract import USER_ID

CONFIG_VARIABLE: Final = "MODELYARD_CONFIG"
EVERY_NAMESPACE: Final = "*"
EVERY_NAME: Final = "*"
SERVICE_PLACE: Final = "{service}"
NAMESPACE_PLACE: Final = "{namespace}"
"""The parts of the templates of hosts and paths."""
DENIED_NETWORKS: Final = (
    "127.0.0.0/8",
    "::1/128",
    "169.254.0.0/16",  # link-local, and the metadata service of most clouds
    "fe80::/10",
    "168.63.129.16/32",  # WireServer of Azure
    "100.100.100.200/32",  # Alibaba Cloud
    "192.0.0.192/32",  # Oracle Cloud
    "fd00:ec2::/32",  # AWS
    "fd20:ce::254/128",  # Google Cloud
    "fd00:c1::a9fe:a9fe/128",  # Oracle Cloud
    "fd00:42::42/128",  # Scaleway
)
"""Loopback, link-local, and where clouds return credentials and settings of machines."""


SPREAD: Final[tuple[dict[str, Any], ...]] = tuple(
    {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        # Pods of another template, which a rollout replaces, do not count.
        "matchLabelKeys": ["pod-template-hash"],
    }
    for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
)
"""Replicas of a Service on different nodes and in different zones, as far as these have room. The default of
Kubernetes is weaker: up to 3 more replicas on one node than on another, and 5 more in one zone.
https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/#internal-default-constraints"""


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid"
    )


class RegistrySettings(_Section):
    """The registry. Image names, the kubelet and pods may each use a different name for the registry."""

    push: str = "localhost:5000"  # host[:port] in image names, and for a Docker engine
    pull: str | None = None  # host[:port] for the kubelet; default: push
    internal: str | None = None  # host[:port] for pods of the cluster; default: push
    insecure: bool = False  # plain HTTP
    repository: str = "modelyard"  # prefix of repositories: <prefix>/<namespace>/<image>
    # Built versions of an Image whose images stay in the registry; 0 keeps the images of all versions.
    keep_versions: Annotated[int, Field(ge=0)] = 0
    # Seconds between two looks at the image of an Image that a Service uses; 0: never.
    verify_seconds: Annotated[float, Field(ge=0)] = 3600
    config_path: str | None = None  # path of a mounted .dockerconfigjson with the credentials
    ca_path: str | None = None  # path of a mounted PEM file with the CA certificates to trust
    # Path of a mounted PEM file with public keys: images without a signature of one of them are not reused.
    public_keys_path: str | None = None

    @property
    def pull_name(self) -> str:
        """Host[:port] of the registry for the kubelet."""
        return self.pull or self.push

    @property
    def internal_name(self) -> str:
        """Host[:port] of the registry for pods."""
        return self.internal or self.push

    @property
    def repository_names(self) -> tuple[str, ...]:
        """The prefix of repositories as `host[:port]/prefix`, for each name of the registry."""
        hosts = {self.push, self.pull_name, self.internal_name}
        return tuple(sorted(f"{host}/{self.repository}" for host in hosts))


class CondaChannelSettings(_Section):
    """Channels of conda environments, and the virtual packages of the machines that run the images."""

    channels: tuple[str, ...] = ("conda-forge",)  # for environment files without channels
    mirrors: dict[str, str] = Field(default_factory=dict)  # channel name or URL prefix → URL of the mirror
    virtual_packages: dict[str, str] = {"__linux": "5.10", "__glibc": "2.28"}
    secret: str | None = None  # name of a Secret with the key credentials.json


class BuildSettings(_Section):
    """Settings of build Jobs."""

    image: str = "modelyard:dev"  # image of the operator, which contains the builder
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    service_account: str = "modelyard-builder"
    base_images: dict[str, str] = {"3.11": "python:3.11-slim", "3.12": "python:3.12-slim"}
    spark_images: dict[str, str] = Field(
        default_factory=dict
    )  # with Java and pyspark; no default, none is published
    cuda_images: dict[str, str] = Field(default_factory=dict)  # with CUDA, for `installCuda: "true"`
    # Version of CUDA that the drivers of the GPU nodes support; the virtual package __cuda of conda.
    cuda_version: str | None = None
    default_python_version: str = "3.11"
    builder: Literal["Layers", "Docker"] = "Layers"  # for Manifests without properties.builder
    docker_enabled: bool = False  # whether Manifests may set builder: Docker if Docker is not the default
    docker_socket: str = "/var/run/docker.sock"  # path on the node
    docker_network: str | None = None  # network mode of RUN steps
    docker_share_credentials: bool = False  # whether RUN steps get the logins of the pip.conf and of proxies
    docker_node_selector: dict[str, str] = Field(default_factory=dict)  # nodes with a Docker engine
    ca_bundle_config_map: str | None = None  # name of a ConfigMap with the key ca.crt
    pip_config_secret: str | None = None  # name of a Secret with the key pip.conf
    conda: CondaChannelSettings = CondaChannelSettings()
    registry_secret: str | None = None  # name of a Secret of type kubernetes.io/dockerconfigjson
    attestations: bool = True  # whether images get a bill of materials (SBOM) and provenance
    signing_secret: str | None = None  # name of a Secret with the keys cosign.key and cosign.password
    # Age from which a cached environment with unpinned packages is resolved again; 0: never.
    environment_max_age_seconds: Annotated[int, Field(ge=0)] = 7 * 24 * 3600
    resources: dict[str, Any] = Field(
        default_factory=lambda: {
            "requests": {"cpu": "250m", "memory": "256Mi"},
            "limits": {"memory": "1Gi"},
        }
    )
    extra_env: tuple[dict[str, Any], ...] = ()
    pod_labels: dict[str, str] = Field(default_factory=dict)
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[dict[str, Any], ...] = ()
    priority_class_name: str | None = None
    workspace_size: str = "20Gi"  # size limit of the emptyDir
    deadline_seconds: Annotated[int, Field(ge=1)] = 1800
    ttl_seconds_after_finished: Annotated[int, Field(ge=60)] = 600
    concurrent: Annotated[int, Field(ge=1)] = 20  # builds at the same time
    concurrent_per_namespace: Annotated[int, Field(ge=0)] = 10  # of one namespace; 0: no limit
    attempts: Annotated[int, Field(ge=1)] = 20  # maximum number of attempts after transient failures
    retry_seconds: Annotated[float, Field(gt=0)] = 20  # before the second attempt; doubles up to 10 minutes

    @property
    def builders(self) -> tuple[str, ...]:
        """Builders that Manifests may choose."""
        has_docker = self.docker_enabled or self.builder == "Docker"
        return ("Layers", "Docker") if has_docker else ("Layers",)


class SourcesSettings(_Section):
    """Egress policy of builds: the allowed sources of models and assets."""

    schemes: tuple[str, ...] = ()  # allowed URL schemes; empty allows all supported schemes
    denied_networks: tuple[str, ...] = DENIED_NETWORKS
    allowed_networks: tuple[str, ...] = ()  # exceptions from denied_networks
    # PersistentVolumeClaims in the operator's namespace → namespaces whose Images may read the claim.
    claims: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    # registry/path → namespaces whose Images may read it, and all below, with the registry login of builds.
    repositories: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    # Allow downloads to use only Secrets with the label modelyard.dev/source.
    require_secret_label: bool = True

    def claims_for(self, namespace: str) -> tuple[str, ...]:
        """Return the names of the claims that Images of a namespace may read."""
        return _offered(self.claims, namespace)

    def repositories_for(self, namespace: str) -> tuple[str, ...]:
        """Return the repositories that Images of a namespace may read with the registry login of builds."""
        return _offered(self.repositories, namespace)


def _offered(readers: dict[str, tuple[str, ...]], namespace: str) -> tuple[str, ...]:
    matching = {EVERY_NAMESPACE, namespace}
    return tuple(sorted(name for name, namespaces in readers.items() if matching & set(namespaces)))


class AwsIdentitySettings(_Section):
    """The token service of AWS, or of a server with the S3 API that has one."""

    audience: str = "sts.amazonaws.com"  # of tokens of ServiceAccounts
    sts_url: str = ""  # empty: that of the region
    region: str = "us-east-1"  # of buckets, unless the ServiceAccount has another one
    endpoint: str = ""  # URL of another server with the S3 API


class AzureIdentitySettings(_Section):
    """The token service of Microsoft Entra."""

    audience: str = "api://AzureADTokenExchange"
    authority: str = "https://login.microsoftonline.com"
    endpoint: str = ""  # URL of another server with the API of Azure Storage


class GoogleIdentitySettings(_Section):
    """The token service of Google Cloud."""

    audience: str = ""  # name of the workload identity provider; empty: not offered
    token_audience: str = ""  # of tokens of ServiceAccounts; empty: https: and `audience`
    sts_url: str = "https://sts.googleapis.com/v1/token"
    credentials_url: str = "https://iamcredentials.googleapis.com"
    endpoint: str = ""  # URL of another server with the API of Google Storage


class IdentitySettings(_Section):
    """Cloud identities of ServiceAccounts for downloads (serviceAccountName)."""

    enabled: bool = False  # needs the right to create tokens of ServiceAccounts
    aws: AwsIdentitySettings = AwsIdentitySettings()
    azure: AzureIdentitySettings = AzureIdentitySettings()
    google: GoogleIdentitySettings = GoogleIdentitySettings()


def _no_limit_below_request(factor: float) -> float:
    if 0 < factor < 1:
        raise ValueError(f"{factor} must be 0 or at least 1: a memory limit below the request is refused")
    return factor


class PodPolicySettings(_Section):
    """Limits of `spec.pod` of Services."""

    required: PodSettings = PodSettings()  # overrides spec.pod
    denied_fields: tuple[str, ...] = ()  # paths in spec.pod that a Service must not set
    priority_class_names: tuple[str, ...] = ()  # that a Service may choose; EVERY_NAME allows all
    runtime_class_names: tuple[str, ...] = ()
    service_account_names: tuple[str, ...] = (EVERY_NAME,)


class ScoringSettings(_Section):
    """Settings of Services."""

    cluster_domain: str = "cluster.local"
    image_pull_secrets: tuple[str, ...] = ()
    progress_deadline_seconds: Annotated[int, Field(ge=10)] = 600
    pre_stop_seconds: Annotated[int, Field(ge=0)] = 5  # until each kube-proxy has removed the pod
    drain_seconds: Annotated[int, Field(ge=1)] = 30
    # Milliseconds of one run(); the default of azureml-inference-server-http.
    scoring_timeout_ms: Annotated[int, Field(ge=1)] = 3_600_000
    tmp_size: str = "10Gi"  # of the volume /tmp of a pod, which is evicted beyond it
    # Memory limit of each pod, as a multiple of its memory request; 0 sets no limit.
    memory_limit_factor: Annotated[float, Field(ge=0), AfterValidator(_no_limit_below_request)] = 4
    # Local disk of the node that each pod reserves; empty neither reserves nor limits it.
    ephemeral_storage_request: str = "256Mi"
    limits: dict[str, Any] = Field(default_factory=dict)  # replace the limits that follow from the above
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[dict[str, Any], ...] = ()
    topology_spread_constraints: tuple[dict[str, Any], ...] = SPREAD  # without labelSelector
    priority_class_name: str | None = None
    runtime_class_name: str | None = None
    workers: Annotated[int, Field(ge=1)] = 1  # worker processes with the driver in each pod
    pod: PodPolicySettings = PodPolicySettings()
    run_as_user: int = USER_ID
    # Roll the template of a new release or of changed settings out without a new version of the Service.
    roll_on_upgrade: bool = False
    concurrent_rolls: Annotated[int, Field(ge=1)] = (
        3  # Services that roll out such a template at the same time
    )
    otlp_endpoint: str | None = None  # URL for traces of Services with appInsightsEnabled: OTLP over HTTP
    app_insights_secret: str | None = None  # Secret for Azure Monitor, in the namespace of each Service
    app_insights_secret_key: str = "connectionString"  # noqa: S105 - key in app_insights_secret


class GatewayReference(_Section):
    """The Gateway (gateway.networking.k8s.io) that the HTTPRoutes of Services attach to."""

    name: str = ""
    namespace: str = ""
    section_name: str = ""  # name of a listener; empty: each listener that accepts the host


class IngressSettings(_Section):
    """Settings of the Ingresses of Services."""

    class_name: str = ""  # empty: the default class of the cluster
    annotations: dict[str, str] = Field(default_factory=dict)  # such as those of cert-manager
    tls: bool = True  # whether the ingress controller ends TLS
    # Secret with the certificate, in the namespace of the Service; may contain {service} and {namespace}.
    # Empty: the default certificate of the ingress controller.
    tls_secret: str = ""


class RoutingSettings(_Section):
    """Public addresses of Services. The templates may contain {service} and {namespace}."""

    kind: Literal["", "HTTPRoute", "Ingress"] = ""  # empty: no routes, no watches, no rights
    enabled: bool = True  # for Services without spec.route.enabled
    host: str = ""
    path: str = "/"
    # host, or *.domain → namespaces whose Services may name it in spec.route.host
    hosts: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    scheme: Literal["", "http", "https"] = ""  # empty: that of the listener, or of the Ingress
    port: Annotated[int, Field(ge=0, le=65535)] = 0  # 0: that of the listener
    request_timeout: str = "0s"  # timeouts.request of HTTPRoutes; 0s: no timeout; empty: no field
    gateway: GatewayReference = GatewayReference()
    ingress: IngressSettings = IngressSettings()

    @model_validator(mode="after")
    def _require_parts(self) -> Self:
        if not self.kind:
            return self
        if not self.host or SERVICE_PLACE not in self.host + self.path:
            raise ValueError(f"routing: host is required, and host or path must contain {SERVICE_PLACE}")
        if self.kind == "HTTPRoute" and not (self.gateway.name and self.gateway.namespace):
            raise ValueError("routing.gateway: name and namespace of the Gateway are required")
        if self.kind == "Ingress" and self.path != "/":
            raise ValueError("routing.path: an Ingress cannot remove a path prefix; set routing.host instead")
        return self

    def hosts_for(self, namespace: str) -> tuple[str, ...]:
        """Return the hosts, and the domains as `*.domain`, that Services of a namespace may name."""
        return _offered(self.hosts, namespace)


class HistorySettings(_Section):
    """Limit of the versions of each object."""

    # Versions beyond the limit are removed unless something refers to them; 0 keeps all versions.
    limit: Annotated[int, Field(ge=0)] = 100


class OperatorSettings(_Section):
    """Settings of the operator. Times are in seconds."""

    namespace: str = "modelyard-system"  # namespace of the operator
    watch_namespaces: tuple[str, ...] = ()  # empty: all namespaces
    workers: Annotated[int, Field(ge=1)] = 16  # objects that are reconciled at the same time
    resync_seconds: Annotated[float, Field(gt=0)] = 600
    metrics_port: int = 8080
    liveness_port: int = 8081
    log_format: str = "json"
    log_level: str = "INFO"
    registry: RegistrySettings = RegistrySettings()
    history: HistorySettings = HistorySettings()
    build: BuildSettings = BuildSettings()
    sources: SourcesSettings = SourcesSettings()
    identity: IdentitySettings = IdentitySettings()
    scoring: ScoringSettings = ScoringSettings()
    routing: RoutingSettings = RoutingSettings()

    @property
    def namespaces(self) -> tuple[str | None, ...]:
        """The namespaces to list and watch; None stands for all of them in one request."""
        return self.watch_namespaces or (None,)


def load() -> OperatorSettings:
    """Return the settings in the file that MODELYARD_CONFIG names, or the defaults without that variable.

    Raises pydantic.ValidationError, which names the invalid field, and OSError if the file cannot be read.
    """
    path = os.environ.get(CONFIG_VARIABLE)
    return OperatorSettings.model_validate(
        yaml.safe_load(Path(path).read_text(encoding="utf-8")) if path else {}
    )
