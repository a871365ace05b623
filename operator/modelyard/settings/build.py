"""Settings of build Jobs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from modelyard.settings.section import Section


class CondaChannelSettings(Section):
    """Channels of conda environments, and the virtual packages of the machines that run the images."""

    channels: tuple[str, ...] = ("conda-forge",)  # for environment files without channels
    mirrors: dict[str, str] = Field(default_factory=dict)  # channel name or URL prefix → URL of the mirror
    virtual_packages: dict[str, str] = Field(default_factory=lambda: {"__linux": "5.10", "__glibc": "2.28"})
    secret: str | None = None  # name of a Secret with the key credentials.json


class BuildSettings(Section):
    """Settings of build Jobs."""

    image: str = "modelyard:dev"  # image of the operator, which contains the builder
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    service_account: str = "modelyard-builder"
    base_images: dict[str, str] = Field(
        default_factory=lambda: {"3.11": "python:3.11-slim", "3.12": "python:3.12-slim"}
    )
    spark_images: dict[str, str] = Field(
        default_factory=dict
    )  # with Java and pyspark; no default, none is published
    cuda_images: dict[str, str] = Field(default_factory=dict)  # with CUDA, for `installCuda: "true"`
    # Version of CUDA that the drivers of the GPU nodes support; the virtual package __cuda of conda.
    cuda_version: str | None = None
    default_python_version: str = "3.11"
    # Platforms of images by the Layers builder; empty: that of the build's node and its base image.
    platforms: tuple[Literal["linux/amd64", "linux/arm64"], ...] = ()
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
