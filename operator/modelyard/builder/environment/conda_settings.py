"""The channels of conda packages, and how builds may reach them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from modelyard.builder.variables import optional_path
from modelyard.contract.build_pod import BuildVariable

# As in conda (https://docs.conda.io/projects/conda/en/stable/user-guide/configuration/settings.html): the URL
# before a channel's name, and the URLs of the channel `defaults` on Linux.
_CHANNEL_ALIAS: Final = "https://conda.anaconda.org"
_DEFAULT_CHANNELS: Final = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")


@dataclass(frozen=True)
class CondaSettings:
    """The platform's settings for conda environments."""

    channels: tuple[str, ...] = ("conda-forge",)
    """Channels for environment files that name none."""
    mirrors: Mapping[str, str] = field(default_factory=dict)
    """A channel's name or the prefix of URLs → the URL that replaces it."""
    virtual_packages: Mapping[str, str] = field(
        default_factory=lambda: {"__linux": "5.10", "__glibc": "2.28"}
    )
    """Versions of kernel and C library that images run on:
    https://docs.conda.io/projects/conda/en/stable/user-guide/tasks/manage-virtual.html."""
    credentials: Path | None = None
    """JSON file of rattler and pixi, host → credential: https://pixi.sh/latest/deployment/authentication/."""
    retries: int = 4
    """Most retries of a request after a transient failure."""
    ca_bundle: Path | None = None
    """PEM file of the CA certificates to trust; None for those of the system."""
    proxy: str = ""
    """URL of the guard, which adds the credentials; empty for a direct connection."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> CondaSettings:
        """Read the settings from environment variables.

        Lists are separated by spaces. Mirrors and virtual packages are pairs `name=value`.
        """
        return cls(
            channels=tuple(environment.get(BuildVariable.CONDA_CHANNELS, "").split()),
            mirrors=_pairs(environment.get(BuildVariable.CONDA_MIRRORS, "")),
            virtual_packages=_pairs(environment.get(BuildVariable.CONDA_VIRTUAL_PACKAGES, "")),
            credentials=optional_path(environment, BuildVariable.CONDA_CREDENTIALS),
            ca_bundle=optional_path(environment, BuildVariable.CA_BUNDLE),
        )

    def with_cuda(self, version: str | None) -> CondaSettings:
        """Return the settings for images on nodes with GPUs of this version of CUDA, the same without one."""
        if version is None:
            return self
        return replace(self, virtual_packages={**self.virtual_packages, "__cuda": version})

    @property
    def trusted(self) -> list[str]:
        """Return the URLs of the platform's own channels and mirrors."""
        return [*self.mirrors.values(), *(url for channel in self.channels for url in self.urls(channel))]

    def urls(self, channel: str) -> tuple[str, ...]:
        """Return the URLs of a channel: one, or several for the channel `defaults`, as in conda."""
        if channel in self.mirrors:
            return (self.mirrors[channel].rstrip("/"),)
        if channel == "defaults":
            return tuple(map(self._mirrored, _DEFAULT_CHANNELS))
        return (self._mirrored(channel if "://" in channel else f"{_CHANNEL_ALIAS}/{channel}"),)

    def _mirrored(self, url: str) -> str:
        """Return the URL with the first matching prefix replaced by its mirror."""
        path = f"{url.rstrip('/')}/"
        for prefix, mirror in self.mirrors.items():
            folder = f"{prefix.rstrip('/')}/"
            if path.startswith(folder):
                return f"{mirror.rstrip('/')}/{path.removeprefix(folder)}".rstrip("/")
        return path.rstrip("/")


def _pairs(text: str) -> dict[str, str]:
    """Parse `name=value` pairs. Only the first `=` separates, since the query of a URL may contain others."""
    pairs = {}
    for pair in text.split():
        name, _, value = pair.partition("=")
        pairs[name] = value
    return pairs
