"""The autoscaler of a Service: the field `autoScaler`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from modelyard.api.base import INTEGER, ApiType, Boolean
from modelyard.api.rules import Rule

# Defaults of the 2017 API.
MIN_REPLICAS: Final = 1
MAX_REPLICAS: Final = 10
TARGET_UTILIZATION: Final = 70
REFRESH_PERIOD_SECONDS: Final = 1
COOLDOWN_PERIOD_SECONDS: Final = 300  # the default of KEDA
# Defaults of the HorizontalPodAutoscaler.
SCALE_UP_STABILIZATION_SECONDS: Final = 0
SCALE_DOWN_STABILIZATION_SECONDS: Final = 300

# The maximum of stabilizationWindowSeconds in a HorizontalPodAutoscaler.
_Stabilization = Annotated[int, Field(ge=0, le=3600), INTEGER]


class UtilizationMetric(StrEnum):
    """The meaning of the utilisation of a replica."""

    REQUESTS = "Requests"
    CPU = "CPU"


class AutoScaler(ApiType):
    """Settings of the HorizontalPodAutoscaler of a Service."""

    rules = (
        Rule(
            cel=f"(has(self.minReplicas) ? self.minReplicas : {MIN_REPLICAS})"
            f" <= (has(self.maxReplicas) ? self.maxReplicas : {MAX_REPLICAS})",
            message=f"autoScaler.minReplicas (default {MIN_REPLICAS}) must not exceed autoScaler.maxReplicas"
            f" (default {MAX_REPLICAS})",
            is_valid=lambda scaler: scaler.effective_min <= scaler.effective_max,
            field=".minReplicas",
        ),
    )

    autoscale_enabled: Boolean | None = None
    """If true, a HorizontalPodAutoscaler sets the number of replicas. Default: true if numReplicas is
    not set."""
    min_replicas: Annotated[int, Field(ge=0, le=10000), INTEGER] | None = None
    """Minimum number of replicas. Default: 1. With 0 a Service without requests has no replica, and its
    first request starts one."""
    max_replicas: Annotated[int, Field(ge=1, le=10000), INTEGER] | None = None
    """Maximum number of replicas. Default: 10."""
    # 1800 is the maximum of periodSeconds in a HorizontalPodAutoscaler.
    refresh_period_in_seconds: Annotated[int, Field(ge=1, le=1800), INTEGER] | None = None
    """Number of seconds between two reads of the load of a replica. Default: 1. The HorizontalPodAutoscaler
    of the cluster uses the figures each 15 seconds, by default."""
    target_utilization: Annotated[int, Field(ge=0, le=100), INTEGER] | None = None
    """Target average utilisation of the replicas in percent, as utilizationMetric defines it. Default: 70.
    The value 0 acts as 1."""
    utilization_metric: UtilizationMetric | None = None
    """Requests (the default) counts running and waiting requests, in percent of
    maxConcurrentRequestsPerContainer. CPU is the used CPU in percent of the requested CPU."""
    scale_up_stabilization_seconds: _Stabilization | None = None
    """Replicas are added for the lowest need of the last seconds, this number of them. Default: 0."""
    scale_down_stabilization_seconds: _Stabilization | None = None
    """Replicas are removed for the highest need of the last seconds, this number of them. Default: 300."""

    cooldown_period_in_seconds: Annotated[int, Field(ge=1, le=86400), INTEGER] | None = None
    """Number of seconds without a request after which a Service with minReplicas 0 goes to 0 replicas.
    Default: 300."""

    @property
    def effective_cooldown(self) -> int:
        """CooldownPeriodInSeconds with its default."""
        return self.cooldown_period_in_seconds or COOLDOWN_PERIOD_SECONDS

    @property
    def effective_min(self) -> int:
        """MinReplicas with its default."""
        return MIN_REPLICAS if self.min_replicas is None else self.min_replicas

    @property
    def effective_max(self) -> int:
        """MaxReplicas with its default."""
        return MAX_REPLICAS if self.max_replicas is None else self.max_replicas

    @property
    def effective_refresh_period(self) -> int:
        """RefreshPeriodInSeconds with its default."""
        return self.refresh_period_in_seconds or REFRESH_PERIOD_SECONDS

    @property
    def effective_target(self) -> int:
        """TargetUtilization with its default, at least 1."""
        return TARGET_UTILIZATION if self.target_utilization is None else max(self.target_utilization, 1)

    @property
    def effective_metric(self) -> UtilizationMetric:
        """UtilizationMetric with its default."""
        return self.utilization_metric or UtilizationMetric.REQUESTS

    @property
    def scale_up_window(self) -> int:
        """ScaleUpStabilizationSeconds with its default."""
        window = self.scale_up_stabilization_seconds
        return SCALE_UP_STABILIZATION_SECONDS if window is None else window

    @property
    def scale_down_window(self) -> int:
        """ScaleDownStabilizationSeconds with its default."""
        window = self.scale_down_stabilization_seconds
        return SCALE_DOWN_STABILIZATION_SECONDS if window is None else window
