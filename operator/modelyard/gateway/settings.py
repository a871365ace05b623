"""The gateway's configuration: one YAML file, written by the chart, checked here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

CONFIG_VARIABLE: Final = "MODELYARD_GATEWAY_CONFIG"


class GatewaySettings(BaseModel):
    """All of it; times in seconds."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid"
    )

    api_server: str = "https://kubernetes.default.svc"
    ca_path: str | None = None  # PEM of the API server's authority; the system's by default
    insecure: bool = False  # whether any certificate of the API server is taken: for tests
    host: str = "0.0.0.0"  # noqa: S104 (a pod's own network)
    port: int = 8443
    tls_certificate_path: str | None = None
    tls_key_path: str | None = None
    public_url: str | None = None  # what links begin with; what the caller asked for by default
    patience_seconds: Annotated[float, Field(gt=0)] = 18  # clients of the time give up after 20
    log_format: str = "json"
    log_level: str = "INFO"


def load() -> GatewaySettings:
    """Settings from the file that MODELYARD_GATEWAY_CONFIG names, defaults without it.

    Raises pydantic.ValidationError, which names the field, and OSError.
    """
    path = os.environ.get(CONFIG_VARIABLE)
    return GatewaySettings.model_validate(
        yaml.safe_load(Path(path).read_text(encoding="utf-8")) if path else {}
    )
