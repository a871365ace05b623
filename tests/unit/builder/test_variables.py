"""Readers for the environment variables of a build pod."""

from __future__ import annotations

from pathlib import Path

from modelyard.builder.job_settings import registry_access
from modelyard.builder.variables import optional_path
from modelyard.contract.build_pod import BuildVariable
from modelyard.oci.registry_config import RegistryAccess


def test_empty_variable_is_no_path() -> None:
    assert optional_path({"A": ""}, "A") is None
    assert optional_path({}, "A") is None
    assert optional_path({"A": "/a"}, "A") == Path("/a")


def test_registry_access_has_every_variable() -> None:
    access = registry_access(
        {
            BuildVariable.REGISTRY_CONFIG: "/config",
            BuildVariable.REGISTRY_ALIASES: "hub.example=registry:5000, other.example=registry:5001",
            BuildVariable.INSECURE_REGISTRIES: "registry:5000,",
            BuildVariable.CA_BUNDLE: "/ca.crt",
        }
    )
    assert access == RegistryAccess(
        config=Path("/config"),
        aliases={"hub.example": "registry:5000", "other.example": "registry:5001"},
        insecure=frozenset({"registry:5000"}),
        ca_bundle=Path("/ca.crt"),
    )


def test_registry_access_has_defaults() -> None:
    assert registry_access({}) == RegistryAccess()
