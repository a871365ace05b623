"""Settings of the scoring runtime of a Service: processes, time limits, bodies, CORS and logs."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import Field, SkipValidation, StringConstraints

from modelyard.api.base import INTEGER, ApiType
from modelyard.api.quantities import INT_OR_STRING, quantity_rule
from modelyard.api.rules import Rule

# A comma separates origins in the variable of the scoring runtime.
_ORIGIN: Final = re.compile(r"^[^\s,]+$")
Origin = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253),
    Rule(
        cel=f"self.matches(r'{_ORIGIN.pattern}')",
        message="an origin must have no comma and no blank: https://app.example.com, a regular expression"
        " such as https://.*\\.example\\.com, or * for any origin",
        is_valid=lambda origin: bool(_ORIGIN.fullmatch(origin)),
    ),
]
BodySize = Annotated[
    SkipValidation[str | int],
    INT_OR_STRING,
    quantity_rule("maxBodySize", "1Ki", "10Gi", "1Mi or 200M; the suffix m means 1/1000"),
]


class RuntimeSettings(ApiType):
    """Settings of the scoring runtime. A field that is not set has the value of the chart."""

    workers: Annotated[int, Field(ge=1, le=64), INTEGER] | None = None
    """Minimum number of worker processes in each replica. Each loads the model: reserve memory for all of
    them. Default: scoring.workers of the chart."""
    scoring_timeout_ms: Annotated[int, Field(ge=1, le=86_400_000), INTEGER] | None = None
    """Maximum duration of one run() in milliseconds. After it the client gets HTTP 500, and the worker
    process is replaced. Default: scoring.scoringTimeoutMs of the chart."""
    queue_timeout_ms: Annotated[int, Field(ge=1, le=600_000), INTEGER] | None = None
    """Maximum wait of a request for its run() in milliseconds. After it the client gets HTTP 503. Default:
    500."""
    max_body_size: BodySize | None = None
    """Maximum size of a request body, also of an unpacked one: a Kubernetes quantity such as 200Mi. A larger
    body gets HTTP 413. Default: 100Mi."""
    cors_origins: Annotated[tuple[Origin, ...], Field(max_length=50)] = ()
    """Origins whose web pages may call the Service, such as https://app.example.com, regular expressions of
    whole origins, or * for any origin. Default: none."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] | None = None
    """Lowest level of the log lines of the scoring runtime and of the driver's logging. DEBUG also logs each
    request. Default: INFO for the runtime, and WARNING for the driver."""
