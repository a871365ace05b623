"""Prometheus metrics of the operator; names follow https://prometheus.io/docs/practices/naming/."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

NAMESPACES_SET_ASIDE: Final = Gauge(
    "modelyard_namespaces_set_aside", "1 for a namespace that the operator cannot watch", ["namespace"]
)
RECONCILE_SECONDS: Final = Histogram(
    "modelyard_reconcile_seconds",
    "Time of one reconcile",
    ["kind"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
RECONCILE_RETRIES: Final = Counter("modelyard_reconcile_retries", "Reconciles to be repeated", ["kind"])
RECONCILE_ERRORS: Final = Counter("modelyard_reconcile_errors", "Reconciles that failed", ["kind"])
COLLECTION_POLL_ERRORS: Final = Counter(
    "modelyard_collection_poll_errors", "Polls of the collectors of a Service that failed unexpectedly"
)
BUILDS: Final = Counter("modelyard_builds", "Builds that ended", ["result"])
BUILD_SECONDS: Final = Histogram(
    "modelyard_build_seconds",
    "Time from the creation of a build Job to its result",
    ["result"],
    buckets=(5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600),
)
BUILD_FAILURES: Final = Counter(
    "modelyard_build_failures",
    "Failed attempts of builds by code, and by the party at fault",
    ["code", "fault"],
)
BUILDS_RUNNING: Final = Gauge("modelyard_builds_running", "Builds whose Job has not ended")
BUILDS_WAITING: Final = Gauge("modelyard_builds_waiting", "Builds that wait for a free slot")
BUILD_RETRIES: Final = Counter("modelyard_build_retries", "Failed attempts that another follows", ["code"])
REGISTRY_LOOKUPS: Final = Counter(
    "modelyard_registry_lookups", "Lookups of digests in registries", ["result"]
)
API_WRITES: Final = Counter("modelyard_api_writes", "Writes asked of the API server", ["verb", "resource"])
REPAIRS: Final = Counter("modelyard_repairs", "Reverted changes by other clients of children", ["resource"])
TEMPLATE_ROLLS: Final = Gauge(
    "modelyard_template_rolls", "Services that get the present pod template without a new version", ["state"]
)
KEY_REFRESHES: Final = Counter(
    "modelyard_key_refreshes", "Rounds over the pods of a Service whose keys have changed", ["result"]
)
FIRST_ANSWER_SECONDS: Final = Histogram(
    "modelyard_first_answer_seconds",
    "Time from the change that makes a version of a Service to the first answer of that version",
    ["change"],
    buckets=(1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600),
)

# A counter or histogram without samples at the start loses its first count: increase() needs two samples.
# https://prometheus.io/docs/practices/instrumentation/#avoid-missing-metrics
for _result in ("succeeded", "failed", "reused"):
    BUILDS.labels(result=_result)
for _result in ("succeeded", "failed"):
    BUILD_SECONDS.labels(result=_result)
for _change in ("new", "image", "service"):
    FIRST_ANSWER_SECONDS.labels(change=_change)
for _result in ("found", "missing", "unsigned", "paused", "failed"):
    REGISTRY_LOOKUPS.labels(result=_result)
for _state in ("active", "failed", "waiting"):
    TEMPLATE_ROLLS.labels(state=_state)
for _kind in ("Model", "Manifest", "Image", "Service"):
    RECONCILE_RETRIES.labels(kind=_kind)
    RECONCILE_ERRORS.labels(kind=_kind)
