"""The settings of a build Job, from the environment variables of its pod."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from modelyard.builder.attestation.settings import AttestationSettings
from modelyard.builder.environment.conda_settings import CondaSettings
from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.builder.sources.registry_login import RegistryLogin
from modelyard.builder.variables import optional_path
from modelyard.contract.build_pod import DOCKER_SOCKET, TERMINATION_LOG, BuildVariable
from modelyard.oci.registry_config import RegistryAccess

_PROXIES: Final = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"})


@dataclass(frozen=True)
class BuildJobSettings:
    """Settings of the cluster for every build, as against the request of one build."""

    request: Path
    """File with the BuildRequest."""
    workspace: Path
    """Folder with room for all files that are fetched and unpacked."""
    termination_log: Path
    """File for the BuildResult."""
    docker_host: str
    """Address of the Docker engine."""
    docker_network: str | None
    """Network mode of the build steps that a Docker engine runs."""
    docker_credentials: bool
    """True if these steps get the logins of indexes and proxies, which source distributions can read."""
    proxies: Mapping[str, str]
    """HTTP_PROXY, HTTPS_PROXY and NO_PROXY, upper or lower case, for the build steps that an engine runs.

    The HTTP clients of this process read these variables themselves.
    """
    pip_conf: Path | None
    """A pip.conf for the installation of requirements."""
    access: RegistryAccess
    """Access to registries. Its CA bundle is for downloads and for the installation of packages, too."""
    policy: EgressPolicy = field(default_factory=EgressPolicy)
    attestation: AttestationSettings = field(default_factory=AttestationSettings)
    conda: CondaSettings = field(default_factory=CondaSettings)
    login: RegistryLogin = field(default_factory=RegistryLogin)
    environment_max_age_seconds: int = 0
    """Age from which a cached environment with unpinned packages is resolved again; 0 for no limit."""
    packages: Path | None = None
    """Folder of the container that installs users' packages; None without such a container."""
    packages_socket: Path | None = None
    """UNIX socket on which the build listens for that container."""
    claims: Path | None = None
    """Folder with one folder per mounted PersistentVolumeClaim, named after the claim."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> BuildJobSettings:
        """Return the settings. Raises KeyError if a required variable is unset."""
        return cls(
            request=Path(environment[BuildVariable.REQUEST]),
            workspace=Path(environment[BuildVariable.WORKSPACE]),
            termination_log=Path(environment.get(BuildVariable.TERMINATION_LOG) or TERMINATION_LOG),
            docker_host=environment.get(BuildVariable.DOCKER_HOST) or f"unix://{DOCKER_SOCKET}",
            docker_network=environment.get(BuildVariable.DOCKER_NETWORK) or None,
            docker_credentials=environment.get(BuildVariable.DOCKER_CREDENTIALS) == "true",
            proxies={name: value for name, value in environment.items() if name.upper() in _PROXIES},
            pip_conf=optional_path(environment, BuildVariable.PIP_CONF),
            access=registry_access(environment),
            policy=EgressPolicy.from_environment(environment),
            attestation=AttestationSettings.from_environment(environment),
            conda=CondaSettings.from_environment(environment),
            login=RegistryLogin.from_environment(environment),
            environment_max_age_seconds=int(environment.get(BuildVariable.ENVIRONMENT_MAX_AGE) or 0),
            packages=optional_path(environment, BuildVariable.PACKAGES),
            packages_socket=optional_path(environment, BuildVariable.PACKAGES_SOCKET),
            claims=optional_path(environment, BuildVariable.CLAIMS),
        )


def registry_access(environment: Mapping[str, str]) -> RegistryAccess:
    """Return the addresses, credentials and certificate authorities for registries."""
    pairs = (pair.partition("=") for pair in _items(environment, BuildVariable.REGISTRY_ALIASES))
    return RegistryAccess(
        config=optional_path(environment, BuildVariable.REGISTRY_CONFIG),
        insecure=frozenset(_items(environment, BuildVariable.INSECURE_REGISTRIES)),
        aliases={name: address for name, _, address in pairs},
        ca_bundle=optional_path(environment, BuildVariable.CA_BUNDLE),
    )


def _items(environment: Mapping[str, str], name: str) -> list[str]:
    return [item.strip() for item in environment.get(name, "").split(",") if item.strip()]
