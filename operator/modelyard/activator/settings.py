"""The activator's configuration: a YAML file that the chart writes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

CONFIG_VARIABLE: Final = "MODELYARD_ACTIVATOR_CONFIG"


class ActivatorSettings(BaseModel):
    """The settings of an activator. Times are in seconds."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid"
    )

    watch_namespaces: tuple[str, ...] = ()  # empty: all namespaces
    wake_seconds: Annotated[float, Field(gt=0)] = 60  # for which a request is held
    head_seconds: Annotated[float, Field(gt=0)] = 10  # for the head of a request
    held_per_service: Annotated[int, Field(ge=1)] = 2000
    held: Annotated[int, Field(ge=1)] = 20_000  # of all Services
    wakes_per_second: Annotated[float, Field(gt=0)] = 20  # Deployments that are scaled from 0
    leave_seconds: Annotated[float, Field(ge=0)] = 10  # after SIGTERM, until no data plane sends requests
    metrics_port: int = 8080  # plain HTTP, for Prometheus; 0: no metrics
    health_port: int = 8081
    log_format: str = "json"
    log_level: str = "INFO"


def load() -> ActivatorSettings:
    """Return the settings of the file that MODELYARD_ACTIVATOR_CONFIG names, the defaults without a file.

    Raises OSError, and pydantic.ValidationError, which names the field.
    """
    path = os.environ.get(CONFIG_VARIABLE)
    return ActivatorSettings.model_validate(
        yaml.safe_load(Path(path).read_text(encoding="utf-8")) if path else {}
    )
