"""Settings of the operator: one YAML file, which the chart writes. Each section has a module."""

from __future__ import annotations

from modelyard.settings.build import BuildSettings
from modelyard.settings.data_collection import DataCollectionSettings
from modelyard.settings.identity import GoogleIdentitySettings, IdentitySettings
from modelyard.settings.operator_settings import CONFIG_VARIABLE, HistorySettings, OperatorSettings, load
from modelyard.settings.registry import RegistrySettings
from modelyard.settings.routing import (
    NAMESPACE_PLACE,
    SERVICE_PLACE,
    GatewayReference,
    IngressSettings,
    RoutingSettings,
)
from modelyard.settings.scoring import EVERY_NAME, PodPolicySettings, ScoringSettings
from modelyard.settings.sources import DENIED_NETWORKS, SourcesSettings

__all__ = [
    "CONFIG_VARIABLE",
    "DENIED_NETWORKS",
    "EVERY_NAME",
    "NAMESPACE_PLACE",
    "SERVICE_PLACE",
    "BuildSettings",
    "DataCollectionSettings",
    "GatewayReference",
    "GoogleIdentitySettings",
    "HistorySettings",
    "IdentitySettings",
    "IngressSettings",
    "OperatorSettings",
    "PodPolicySettings",
    "RegistrySettings",
    "RoutingSettings",
    "ScoringSettings",
    "SourcesSettings",
    "load",
]
