"""The activator's configuration: a YAML file that the chart writes."""

from __future__ import annotations

import os
from typing import Annotated, Final

from pydantic import Field

from modelyard.process_start import read_settings
from modelyard.settings.section import Section

CONFIG_VARIABLE: Final = "MODELYARD_ACTIVATOR_CONFIG"
POD_IPS_VARIABLE: Final = "POD_IPS"


class ActivatorSettings(Section):
    """The settings of an activator. Times are in seconds."""

    watch_namespaces: tuple[str, ...] = ()  # empty: all namespaces
    wake_seconds: Annotated[float, Field(gt=0)] = 60  # for which a request is held
    head_seconds: Annotated[float, Field(gt=0)] = 10  # for the head of a request
    held_per_service: Annotated[int, Field(ge=1)] = 2000
    held: Annotated[int, Field(ge=1)] = 20_000  # of all Services
    wakes_per_second: Annotated[float, Field(gt=0)] = 20  # Deployments that are scaled from 0
    leave_seconds: Annotated[float, Field(ge=0)] = 10  # in which all data planes follow an EndpointSlice
    most_leave_seconds: Annotated[float, Field(ge=0)] = 30  # before that, for the scaler to change the slices
    metrics_port: int = 8080  # plain HTTP, for Prometheus; 0: no metrics
    health_port: int = 8081
    log_format: str = "json"
    log_level: str = "INFO"

    @property
    def pod_ips(self) -> list[str]:
        """The IP addresses of this pod, none outside of a pod."""
        return os.environ.get(POD_IPS_VARIABLE, "").split(",")


def load() -> ActivatorSettings:
    """Return the settings of the file that MODELYARD_ACTIVATOR_CONFIG names, the defaults without a file.

    Raises OSError, and pydantic.ValidationError, which names the field.
    """
    return read_settings(ActivatorSettings, CONFIG_VARIABLE)
