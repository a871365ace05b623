"""For which Python and which platform packages are chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelyard.builder.environment.advice import DOCKER
from modelyard.contract.errors import BaseImageUnfitError

# Wheels for glibc 2.28 run on every distribution that is still looked after; which glibc a base image has
# cannot be told without unpacking it (https://github.com/pypa/manylinux).
_PLATFORMS: Final = {
    "linux/amd64": "x86_64-manylinux_2_28",
    "linux/arm64": "aarch64-manylinux_2_28",
}

# A virtual environment's Python has no user base, and the other variable turns it off.
_NO_USER_BASE: Final = frozenset({"VIRTUAL_ENV", "PYTHONNOUSERSITE"})


@dataclass(frozen=True)
class Target:
    """The Python and the platform of a base image."""

    python: str
    """`3.11`, or `3.11.7` where the base image says so: packages may refuse some patch releases."""
    platform: str
    """As in an image index: `linux/amd64`."""

    @property
    def minor(self) -> str:
        """The version that folders and byte code are named after, `3.11`."""
        return ".".join(self.python.split(".")[:2])

    @property
    def wheels(self) -> str:
        """The platform as uv names it; raises BaseImageUnfitError for one that wheels are not made for."""
        try:
            return _PLATFORMS[self.platform]
        except KeyError:
            raise BaseImageUnfitError(
                f"the base image is for {self.platform}; images are made for {' and '.join(_PLATFORMS)}"
            ) from None


def read_target(python_version: str | None, config: Mapping[str, Any]) -> Target:
    """The target of a base image, from its OCI configuration and the minor version that it is listed for.

    Docker Hub's python images say their version in PYTHON_VERSION; of others the list is believed.
    Raises BaseImageUnfitError when the image has another Python, or one that would not see the packages, or
    is for a platform that is not served.
    """
    variables = dict(
        variable.partition("=")[::2] for variable in (config.get("config") or {}).get("Env") or ()
    )
    python = variables.get("PYTHON_VERSION") or python_version
    if not python:
        raise BaseImageUnfitError("the base image does not say its Python's version: set pythonVersion")
    target = Target(python, f"{config.get('os', 'linux')}/{config.get('architecture', 'amd64')}")
    if python_version and target.minor != python_version:
        raise BaseImageUnfitError(
            f"the base image for Python {python_version} has Python {python}: correct build.baseImages of the"
            " chart, or pythonVersion of the manifest"
        )
    blind = sorted(_NO_USER_BASE & variables.keys())
    if blind:
        raise BaseImageUnfitError(
            f"the base image sets {blind[0]}, so its Python would not see the packages: use one that does"
            f" not, or {DOCKER}"
        )
    _ = target.wheels
    return target
