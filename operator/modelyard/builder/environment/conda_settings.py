"""Where conda packages come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.builder.variables import optional_path
from modelyard.contract.build_pod import BuildVariable

_ALIAS: Final = "https://conda.anaconda.org"  # what a channel's name is short for, as for conda itself
_DEFAULTS: Final = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")  # `defaults`


@dataclass(frozen=True)
class CondaSettings:
    """How environments of conda packages are made."""

    channels: tuple[str, ...] = ("conda-forge",)
    """Of environment files that name none."""
    mirrors: Mapping[str, str] = field(default_factory=dict)
    """A channel's name or the beginning of URLs → the URL that takes its place."""
    virtual_packages: Mapping[str, str] = field(
        default_factory=lambda: {"__linux": "5.10", "__glibc": "2.28"}
    )
    """What the images will run on: https://docs.conda.io/projects/conda/en/stable/user-guide/tasks/manage-virtual.html."""
    credentials: Path | None = None
    """JSON, host → credential, as rattler and pixi keep it: https://pixi.sh/latest/deployment/authentication/."""
    retries: int = 4
    """How often a request is sent again when its failure may pass."""
    ca_bundle: Path | None = None
    """PEM file of the authorities to trust; the system's by default."""
    policy: EgressPolicy = field(default_factory=EgressPolicy)
    """For the channels and packages that files name; those of the platform are its own."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> CondaSettings:
        """Lists with spaces; `name=value` for each mirror and virtual package."""
        return cls(
            channels=tuple(environment.get(BuildVariable.CONDA_CHANNELS, "").split()),
            mirrors=_pairs(environment.get(BuildVariable.CONDA_MIRRORS, "")),
            virtual_packages=_pairs(environment.get(BuildVariable.CONDA_VIRTUAL_PACKAGES, "")),
            credentials=optional_path(environment, BuildVariable.CONDA_CREDENTIALS),
            ca_bundle=optional_path(environment, BuildVariable.CA_BUNDLE),
            policy=EgressPolicy.from_environment(environment),
        )

    @property
    def trusted(self) -> list[str]:
        """URLs that are the platform's own."""
        return [*self.mirrors.values(), *(url for channel in self.channels for url in self.urls(channel))]

    def urls(self, channel: str) -> tuple[str, ...]:
        """The URLs of a channel, which has one; `defaults` is several, as for conda itself."""
        if channel in self.mirrors:
            return (self.mirrors[channel].rstrip("/"),)
        if channel == "defaults":
            return tuple(map(self._mirrored, _DEFAULTS))
        return (self._mirrored(channel if "://" in channel else f"{_ALIAS}/{channel}"),)

    def _mirrored(self, url: str) -> str:
        url = url.rstrip("/")
        for prefix, mirror in self.mirrors.items():
            rest = f"{url}/".removeprefix(f"{prefix.rstrip('/')}/")
            if rest != f"{url}/":
                return f"{mirror.rstrip('/')}/{rest}".rstrip("/")
        return url


def _pairs(text: str) -> dict[str, str]:
    # A URL may have `=` in its query, and no channel's name has one.
    return dict(pair.partition("=")[::2] for pair in text.split())
