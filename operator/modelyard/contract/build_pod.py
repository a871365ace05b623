"""Environment variables, paths and exit codes of a build pod.

`resources/build_pod.py` writes the pod. The program in the pod, `builder/job.py`, reads the same names.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from modelyard.contract.image_layout import USER

CONTAINER: Final = "build"
PACKAGES_CONTAINER: Final = "packages"
"""Container that installs users' packages, and mounts no Secret."""
RUN_AS_USER: Final = USER
"""User and group of the operator's image, see operator/Dockerfile. Scoring images have the same number."""

EXIT_FAILED: Final = 1
"""Exit code of a build that failed with an error in its termination message."""
EXIT_CRASHED: Final = 70
"""Exit code after a defect of the builder: EX_SOFTWARE of sysexits.h."""

# Keys of the Secrets and the ConfigMap that are mounted into the folders below.
REQUEST_FILE: Final = "request.json.gz"
CA_FILE: Final = "ca.crt"
PIP_CONF_FILE: Final = "pip.conf"
CONDA_CREDENTIALS_FILE: Final = "credentials.json"
REGISTRY_CONFIG_FILE: Final = ".dockerconfigjson"

REQUEST_FOLDER: Final = "/etc/modelyard/request"
CA_FOLDER: Final = "/etc/modelyard/ca"
PIP_FOLDER: Final = "/etc/modelyard/pip"
CONDA_FOLDER: Final = "/etc/modelyard/conda"
REGISTRY_FOLDER: Final = "/etc/modelyard/registry"
SIGNING_KEY_FOLDER: Final = "/etc/modelyard/signing"
CLAIMS_FOLDER: Final = "/claims"
"""Folder with one folder per mounted PersistentVolumeClaim, named after the claim."""
WORKSPACE: Final = "/workspace"
PACKAGES: Final = "/packages"
"""Folder of the container `packages`, which the container `build` can only read."""
HANDOFF: Final = "/handoff"
"""Folder of the container `build`, which the container `packages` can only read."""
PACKAGES_SOCKET: Final = f"{HANDOFF}/socket"
TMP: Final = "/tmp"  # noqa: S108 - an emptyDir of the pod
DOCKER_SOCKET: Final = "/var/run/docker.sock"
TERMINATION_LOG: Final = "/dev/termination-log"
"""Kubernetes' default for terminationMessagePath."""


class BuildVariable(StrEnum):
    """Environment variable that the operator sets in a build pod.

    All but REQUEST and WORKSPACE are optional. A variable that is empty counts as unset.
    """

    REQUEST = "MODELYARD_BUILD_REQUEST"
    """Path of the BuildRequest as JSON, compressed with gzip if the name ends in .gz."""
    WORKSPACE = "MODELYARD_BUILD_WORKSPACE"
    """Path of a folder with room for all files that are fetched and unpacked."""
    PACKAGES = "MODELYARD_PACKAGES"
    """Path of the folder in which another container installs users' packages. Default: the workspace."""
    PACKAGES_SOCKET = "MODELYARD_PACKAGES_SOCKET"
    """Path of the UNIX socket on which a build listens for that container."""
    TERMINATION_LOG = "MODELYARD_TERMINATION_LOG"
    """Path of the file for the BuildResult. Default: TERMINATION_LOG above."""
    CLAIMS = "MODELYARD_CLAIMS"
    """Path of the folder of mounted claims, for `pvc://` URLs."""
    CA_BUNDLE = "MODELYARD_CA_BUNDLE"
    """Path of a PEM file with the certificate authorities to trust instead of the system's."""
    PIP_CONF = "MODELYARD_PIP_CONF"
    """Path of a pip.conf for the installation of requirements."""
    CONDA_CHANNELS = "MODELYARD_CONDA_CHANNELS"
    """Channels for environment files that name none, separated by spaces."""
    CONDA_MIRRORS = "MODELYARD_CONDA_MIRRORS"
    """`channel=URL` pairs, separated by spaces."""
    CONDA_VIRTUAL_PACKAGES = "MODELYARD_CONDA_VIRTUAL_PACKAGES"
    """`name=version` pairs, separated by spaces."""
    CONDA_CREDENTIALS = "MODELYARD_CONDA_CREDENTIALS"
    """Path of a JSON file, host to credential."""
    REGISTRY_CONFIG = "MODELYARD_REGISTRY_CONFIG"
    """Path of a dockerconfigjson with the credentials of registries."""
    REGISTRY_ALIASES = "MODELYARD_REGISTRY_ALIASES"
    """`name=address` pairs of registries, separated by commas."""
    INSECURE_REGISTRIES = "MODELYARD_INSECURE_REGISTRIES"
    """host[:port] of registries that speak plain HTTP, separated by commas."""
    ATTESTATIONS = "MODELYARD_ATTESTATIONS"
    """`false` if the registry accepts no OCI artifacts."""
    SIGNING_KEY = "MODELYARD_SIGNING_KEY"
    """Path of the folder with the key that signs images."""
    ENVIRONMENT_MAX_AGE = "MODELYARD_ENVIRONMENT_MAX_AGE"
    """Seconds after which a cached environment with unpinned packages is resolved again. Default: never."""
    DOCKER_HOST = "MODELYARD_DOCKER_HOST"
    """Address of the Docker engine. Default: the socket at DOCKER_SOCKET."""
    DOCKER_NETWORK = "MODELYARD_DOCKER_NETWORK"
    DOCKER_CREDENTIALS = "MODELYARD_DOCKER_CREDENTIALS"
    """Network mode of the build steps that a Docker engine runs."""
    FETCH_SCHEMES = "MODELYARD_FETCH_SCHEMES"
    """URL schemes that downloads may use, separated by spaces. Default: all."""
    FETCH_DENIED_NETWORKS = "MODELYARD_FETCH_DENIED_NETWORKS"
    """CIDR blocks that downloads must not connect to, separated by spaces."""
    FETCH_REPOSITORIES = "MODELYARD_FETCH_REPOSITORIES"
    """`registry/path` of repositories that sources may read with the registry login, separated by spaces."""
    OWN_REPOSITORIES = "MODELYARD_OWN_REPOSITORIES"
    """`registry/path` of the platform's own repository by each of its names, separated by spaces."""
    FETCH_ALLOWED_NETWORKS = "MODELYARD_FETCH_ALLOWED_NETWORKS"
    """CIDR blocks that are exceptions from the denied ones, separated by spaces."""
