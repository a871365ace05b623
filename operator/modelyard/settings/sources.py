"""Settings of the sources of models and assets."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from modelyard.settings.readers import offered
from modelyard.settings.section import Section

DENIED_NETWORKS: Final = (
    "127.0.0.0/8",
    "::1/128",
    "169.254.0.0/16",  # link-local, and the metadata service of most clouds
    "fe80::/10",
    "168.63.129.16/32",  # WireServer of Azure
    "100.100.100.200/32",  # Alibaba Cloud
    "192.0.0.192/32",  # Oracle Cloud
    "fd00:ec2::/32",  # AWS
    "fd20:ce::254/128",  # Google Cloud
    "fd00:c1::a9fe:a9fe/128",  # Oracle Cloud
    "fd00:42::42/128",  # Scaleway
)
"""Loopback, link-local, and where clouds return credentials and settings of machines."""


class SourcesSettings(Section):
    """Egress policy of builds: the allowed sources of models and assets."""

    schemes: tuple[str, ...] = ()  # allowed URL schemes; empty allows all supported schemes
    denied_networks: tuple[str, ...] = DENIED_NETWORKS
    allowed_networks: tuple[str, ...] = ()  # exceptions from denied_networks
    # PersistentVolumeClaims in the operator's namespace → namespaces whose Images may read the claim.
    claims: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    # registry/path → namespaces whose Images may read it, and all below, with the registry login of builds.
    repositories: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    # Allow downloads to use only Secrets with the label modelyard.dev/source.
    require_secret_label: bool = True

    def claims_for(self, namespace: str) -> tuple[str, ...]:
        """Return the names of the claims that Images of a namespace may read."""
        return offered(self.claims, namespace)

    def repositories_for(self, namespace: str) -> tuple[str, ...]:
        """Return the repositories that Images of a namespace may read with the registry login of builds."""
        return offered(self.repositories, namespace)
