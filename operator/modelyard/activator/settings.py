"""The activator's configuration: a YAML file that the chart writes."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from modelyard.process_start import read_settings
from modelyard.settings.section import Section

CONFIG_VARIABLE: Final = "MODELYARD_ACTIVATOR_CONFIG"


class ActivatorSettings(Section):
    """The settings of an activator. Times are in seconds."""

    watch_namespaces: tuple[str, ...] = ()  # empty: all namespaces
    wake_seconds: Annotated[float, Field(gt=0)] = 60  # for which a request is held
    head_seconds: Annotated[float, Field(gt=0)] = 10  # for the head of a request
    held_per_service: Annotated[int, Field(ge=1)] = 2000
    held: Annotated[int, Field(ge=1)] = 20_000  # of all Services
    wakes_per_second: Annotated[float, Field(gt=0)] = 20  # Deployments that are scaled from 0
    leave_seconds: Annotated[float, Field(ge=0)] = 10  # in which all data planes follow an EndpointSlice
    metrics_port: int = 8080  # plain HTTP, for Prometheus; 0: no metrics
    health_port: int = 8081
    log_format: str = "json"
    log_level: str = "INFO"


def load() -> ActivatorSettings:
    """Return the settings of the file that MODELYARD_ACTIVATOR_CONFIG names, the defaults without a file.

    Raises OSError, and pydantic.ValidationError, which names the field.
    """
    return read_settings(ActivatorSettings, CONFIG_VARIABLE)
