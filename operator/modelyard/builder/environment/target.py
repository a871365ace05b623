"""The Python and the platform that packages are chosen for."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelyard.builder.environment.advice import USE_DOCKER_BUILDER
from modelyard.contract.errors import BaseImageUnfitError

# Wheels for glibc 2.28 run on every Linux distribution that is still maintained. The glibc of a base image is
# unknown unless the image is unpacked (https://github.com/pypa/manylinux).
_UV_PLATFORMS: Final = {
    "linux/amd64": "x86_64-manylinux_2_28",
    "linux/arm64": "aarch64-manylinux_2_28",
}

_OCI_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}

# The Python of a virtual environment has no user base, and PYTHONNOUSERSITE disables it.
_DISABLE_USER_BASE: Final = frozenset({"VIRTUAL_ENV", "PYTHONNOUSERSITE"})


@dataclass(frozen=True)
class Target:
    """The Python and the platform of a base image."""

    python: str
    """`3.11`, or `3.11.7` if the base image records it: packages may exclude some patch releases."""
    platform: str
    """Operating system and architecture as in an OCI image index, such as `linux/amd64`."""

    @property
    def minor(self) -> str:
        """Return the version in the names of folders and byte code, such as `3.11`."""
        return ".".join(self.python.split(".")[:2])

    @property
    def uv_platform(self) -> str:
        """Return the platform in uv's terms. Raises BaseImageUnfitError for an unsupported platform."""
        try:
            return _UV_PLATFORMS[self.platform]
        except KeyError:
            raise BaseImageUnfitError(
                f"the base image is for {self.platform}: use one for {' or '.join(_UV_PLATFORMS)}"
            ) from None


def local_platform() -> str:
    """Return the platform of this machine in the form of an image index, `linux/amd64` for example."""
    machine = platform.machine()
    return f"linux/{_OCI_ARCHITECTURES.get(machine, machine)}"


def read_target(python_version: str | None, config: Mapping[str, Any]) -> Target:
    """Return the target of a base image from its OCI image config.

    `python_version` is the minor version that build.baseImages lists for the image. It counts if the image
    has no variable PYTHON_VERSION, which the python images of Docker Hub set.

    Raises BaseImageUnfitError if the image has another Python, or none that would find the packages, or is
    for an unsupported platform.
    """
    variables = {}
    for variable in (config.get("config") or {}).get("Env") or ():
        name, _, value = variable.partition("=")
        variables[name] = value
    python = variables.get("PYTHON_VERSION") or python_version
    if not python:
        raise BaseImageUnfitError("the Python version of the base image is unknown: set pythonVersion")
    target = Target(python, f"{config.get('os', 'linux')}/{config.get('architecture', 'amd64')}")
    if python_version and target.minor != python_version:
        raise BaseImageUnfitError(
            f"the base image for Python {python_version} has Python {python}: correct build.baseImages of the"
            " chart, or pythonVersion of the manifest"
        )
    disabling = sorted(_DISABLE_USER_BASE & variables.keys())
    if disabling:
        raise BaseImageUnfitError(
            f"the base image sets {disabling[0]}, so its Python would not find the packages: use an image"
            f" without it, or {USE_DOCKER_BUILDER}"
        )
    _ = target.uv_platform  # raises for an unsupported platform
    return target
