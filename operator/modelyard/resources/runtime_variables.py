"""Environment variables of the scoring runtime from `runtime` in the settings of a Service's pods."""

from __future__ import annotations

from typing import Final

from modelyard.kube.quantity import parse_quantity
from modelyard.kube.types import Json
from modelyard.scoring.contract import Variable

_FIELDS: Final = {
    "workers": Variable.WORKERS,
    "scoringTimeoutMs": Variable.SCORING_TIMEOUT_MS,
    "queueTimeoutMs": Variable.QUEUE_TIMEOUT_MS,
    "logLevel": Variable.LOG_LEVEL,
}


def runtime_variables(runtime: Json) -> dict[str, int | str]:
    """Return the variables of the fields that are set: others would change the template of each Service."""
    variables: dict[str, int | str] = {
        variable: runtime[field] for field, variable in _FIELDS.items() if field in runtime
    }
    if size := parse_quantity(runtime.get("maxBodySize", "")):
        variables[Variable.MAX_BODY_BYTES] = int(size)
    if origins := runtime.get("corsOrigins"):
        variables[Variable.CORS_ORIGINS] = ",".join(origins)
    return variables
