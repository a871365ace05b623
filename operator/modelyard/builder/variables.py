"""Readers for the environment variables of a build pod."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from modelyard.contract.build_pod import BuildVariable
from modelyard.oci.registry_config import RegistryAccess


def optional_path(environment: Mapping[str, str], name: str) -> Path | None:
    """Return the value of a variable as a path, None if the variable is unset or empty."""
    value = environment.get(name)
    return Path(value) if value else None


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
