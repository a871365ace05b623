"""`spec.pod` of a Service."""

from __future__ import annotations

from modelyard.api.base import ApiType
from modelyard.api.pod.environment import Environment, EnvironmentSources


class PodSettings(ApiType):
    """Settings of the pods of a Service, with the names and shapes of Kubernetes.

    Fields of a container are those of the scoring container.
    """

    env: Environment = ()
    """Environment variables of the driver."""
    env_from: EnvironmentSources = ()
    """Secrets and ConfigMaps, each key of which becomes an environment variable of the driver. `env` takes
    precedence."""
