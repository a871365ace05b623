"""The settings of the scaler: a YAML file that the chart writes."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from modelyard.process_start import read_settings
from modelyard.settings.section import Section

CONFIG_VARIABLE: Final = "MODELYARD_SCALER_CONFIG"


class ScalerSettings(Section):
    """Settings of the scaler. Times are in seconds."""

    namespace: str = "modelyard-system"  # of the scaler's own objects
    service: str = "modelyard-scaler"  # core Service of the scaler, for the names in its certificate
    cluster_domain: str = "cluster.local"
    watch_namespaces: tuple[str, ...] = ()  # empty: all namespaces
    scales_to_zero: bool = False  # Services with minReplicas 0 go to 0 replicas while they are idle
    activator_service: str = "modelyard-activator"  # core Service of the activator, whose pods are ready
    serves_metrics: bool = True  # False: another adapter owns custom.metrics.k8s.io, or there is none
    host: str = "0.0.0.0"  # noqa: S104 (a pod's own network)
    port: Annotated[int, Field(ge=0, le=65535)] = 8443
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 8080  # plain HTTP, for Prometheus; 0: no metrics
    tls_secret: str = "modelyard-scaler-tls"  # noqa: S105 (the name of a Secret)
    creates_certificate: bool = True  # False: cert-manager or a user fills the Secret
    log_format: str = "json"
    log_level: str = "INFO"

    @property
    def namespaces(self) -> tuple[str | None, ...]:
        """The namespaces to list and watch; None stands for all of them in one request."""
        return self.watch_namespaces or (None,)


def load() -> ScalerSettings:
    """Return the settings of the file that MODELYARD_SCALER_CONFIG names, the defaults without a file.

    Raises OSError, and pydantic.ValidationError, which names the field.
    """
    return read_settings(ScalerSettings, CONFIG_VARIABLE)
