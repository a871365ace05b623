"""The operator's configuration: one YAML file, written by the chart, checked here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from modelyard.scoring.contract import USER_ID

CONFIG_VARIABLE: Final = "MODELYARD_CONFIG"
EVERY_NAMESPACE: Final = "*"


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid"
    )


class RegistrySettings(_Section):
    """The registry, which may have three names: in images, the kubelet's, and the pods'."""

    push: str = "localhost:5000"  # host[:port] in names of images, and as a Docker engine sees it
    pull: str | None = None  # host[:port] as the kubelet sees it; the same as push by default
    internal: str | None = None  # host[:port] as pods of the cluster see it; the same as push by default
    insecure: bool = False  # plain HTTP
    repository: str = "modelyard"  # prefix of repositories: <prefix>/<namespace>/<image>
    keep_versions: Annotated[int, Field(ge=0)] = 0  # built ones of an Image whose images stay; 0: all
    config_path: str | None = None  # a mounted dockerconfigjson with the credentials
    ca_path: str | None = None  # a mounted PEM file of the authorities to trust

    @property
    def pull_name(self) -> str:
        """host[:port] as the kubelet sees it."""
        return self.pull or self.push

    @property
    def internal_name(self) -> str:
        """host[:port] as pods see it."""
        return self.internal or self.push


class CondaSettings(_Section):
    """Where the packages of conda environments come from, and what they will run on."""

    channels: tuple[str, ...] = ("conda-forge",)  # of environment files that name none
    mirrors: dict[str, str] = Field(default_factory=dict)  # name or beginning of URLs → URL
    virtual_packages: dict[str, str] = {"__linux": "5.10", "__glibc": "2.28"}
    secret: str | None = None  # key credentials.json


class BuildSettings(_Section):
    """How build Jobs run."""

    image: str = "modelyard:dev"  # the operator's own image
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    service_account: str = "modelyard-builder"
    base_images: dict[str, str] = {"3.11": "python:3.11-slim", "3.12": "python:3.12-slim"}
    spark_images: dict[str, str] = Field(default_factory=dict)  # with Java and pyspark; none are published
    default_python_version: str = "3.11"
    builder: Literal["Layers", "Docker"] = "Layers"  # of manifests that name none
    docker_enabled: bool = False  # whether manifests may ask for Docker where it is not the default
    docker_socket: str = "/var/run/docker.sock"  # on the node
    docker_network: str | None = None  # network mode of RUN steps
    docker_node_selector: dict[str, str] = Field(default_factory=dict)  # nodes with an engine
    ca_bundle_config_map: str | None = None  # key ca.crt
    pip_config_secret: str | None = None  # key pip.conf
    conda: CondaSettings = CondaSettings()
    registry_secret: str | None = None  # type kubernetes.io/dockerconfigjson
    attestations: bool = True  # whether images get a bill of materials and their provenance
    signing_secret: str | None = None  # keys cosign.key and cosign.password
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
    workspace_size: str = "20Gi"  # size limit of the emptyDir
    deadline_seconds: Annotated[int, Field(ge=1)] = 1800
    ttl_seconds_after_finished: Annotated[int, Field(ge=60)] = 600
    attempts: Annotated[int, Field(ge=1)] = 20  # how often a transient failure is tried
    retry_seconds: Annotated[float, Field(gt=0)] = 20  # before the second attempt; doubled up to 10 minutes

    @property
    def builders(self) -> tuple[str, ...]:
        """Those that manifests may ask for."""
        has_docker = self.docker_enabled or self.builder == "Docker"
        return ("Layers", "Docker") if has_docker else ("Layers",)


class SourcesSettings(_Section):
    """Where models and assets may come from."""

    schemes: tuple[str, ...] = ()  # empty: all that there are
    # Loopback and link-local: the addresses at which clouds hand out credentials of their machines.
    denied_networks: tuple[str, ...] = ("127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/10")
    allowed_networks: tuple[str, ...] = ()  # exceptions from those
    # Claims of the operator's namespace that builds mount, each with the namespaces whose Images may read it.
    claims: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    def claims_for(self, namespace: str) -> tuple[str, ...]:
        """Those that Images of a namespace may read."""
        asking = {EVERY_NAMESPACE, namespace}
        return tuple(sorted(claim for claim, readers in self.claims.items() if asking & set(readers)))


class ScoringSettings(_Section):
    """How Services run."""

    cluster_domain: str = "cluster.local"
    image_pull_secrets: tuple[str, ...] = ()
    progress_deadline_seconds: Annotated[int, Field(ge=10)] = 600
    pre_stop_seconds: Annotated[int, Field(ge=0)] = 5  # until every proxy has taken the pod out of its rules
    drain_seconds: Annotated[int, Field(ge=1)] = 30
    scoring_timeout_ms: Annotated[int, Field(ge=1)] = 3_600_000  # of one run(); the contract's own default
    workers: Annotated[int, Field(ge=1)] = 1  # processes with the driver in each pod
    run_as_user: int = USER_ID
    otlp_endpoint: str | None = None  # where Services with appInsightsEnabled send traces: OTLP over HTTP
    app_insights_secret: str | None = None  # the same for Azure Monitor: in each Service's own namespace
    app_insights_secret_key: str = "connectionString"  # noqa: S105 - in that Secret


class OperatorSettings(_Section):
    """All of it; times in seconds."""

    namespace: str = "modelyard-system"  # the operator's own
    watch_namespaces: tuple[str, ...] = ()  # empty: all
    workers: Annotated[int, Field(ge=1)] = 16
    resync_seconds: Annotated[float, Field(gt=0)] = 600
    metrics_port: int = 8080
    liveness_port: int = 8081
    log_format: str = "json"
    log_level: str = "INFO"
    registry: RegistrySettings = RegistrySettings()
    build: BuildSettings = BuildSettings()
    sources: SourcesSettings = SourcesSettings()
    scoring: ScoringSettings = ScoringSettings()


def load() -> OperatorSettings:
    """Settings from the file that MODELYARD_CONFIG names, defaults without it.

    Raises pydantic.ValidationError, which names the field, and OSError.
    """
    path = os.environ.get(CONFIG_VARIABLE)
    return OperatorSettings.model_validate(
        yaml.safe_load(Path(path).read_text(encoding="utf-8")) if path else {}
    )
