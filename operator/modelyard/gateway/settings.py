"""The gateway's configuration: a YAML file that the chart writes."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from modelyard.process_start import read_settings

CONFIG_VARIABLE: Final = "MODELYARD_GATEWAY_CONFIG"


class GatewaySettings(BaseModel):
    """The settings of a gateway."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid"
    )

    api_server: str = "https://kubernetes.default.svc"
    ca_path: str | None = None  # PEM file of the API server's authority; None: those that the system trusts
    insecure: bool = False  # accept any certificate of the API server, for tests
    host: str = "0.0.0.0"  # noqa: S104 (a pod's own network)
    port: int = 8443
    metrics_port: int = 8080  # plain HTTP, for Prometheus; 0: no metrics
    tls_certificate_path: str | None = None
    tls_key_path: str | None = None
    public_url: str | None = None  # the start of links; None: the URL of the request
    registration_timeout_seconds: Annotated[float, Field(gt=0)] = 18  # clients of 2017 time out after 20
    log_format: str = "json"
    log_level: str = "INFO"


def load() -> GatewaySettings:
    """Return the settings of the file that MODELYARD_GATEWAY_CONFIG names, the defaults without a file.

    Raises OSError, and pydantic.ValidationError, which names the field.
    """
    return read_settings(GatewaySettings, CONFIG_VARIABLE)
