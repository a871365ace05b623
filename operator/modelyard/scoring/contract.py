"""The contract between the operator, images and the scoring container: names, paths and numbers.

The operator writes these variables into Deployments, the builder into images; the front and the workers read
them. Standard library only: images carry this module.
"""

from typing import Final

PORT: Final = 5001
"""TCP port of the front, in images and pods (the port of the Azure ML scoring containers)."""

USER_ID: Final = 10001
"""User and group id of the scoring process in images and pods; it has no name and no rights of its own."""

APP_ROOT: Final = "/var/azureml-app"
"""Folder of the driver's files in an image (the folder of the Azure ML scoring containers)."""

WORK_DIR: Final = "/tmp/azureml-app"  # noqa: S108 - the container's own
"""The writable working directory of the driver in an image."""

KEYS_DIR: Final = "/var/run/modelyard/keys"
"""Folder of a pod where the Secret with the scoring keys is mounted."""

PRIMARY_KEY: Final = "primaryKey"
SECONDARY_KEY: Final = "secondaryKey"
KEY_NAMES: Final = (PRIMARY_KEY, SECONDARY_KEY)
"""Keys of the Secret's data, and so the names of the mounted files."""

LIVE_PATH: Final = "/"
"""Path of the liveness probe."""

READY_PATH: Final = "/ready"
"""Path of the readiness probe."""

SCORE_PATH: Final = "/score"
"""Path of scoring requests."""

BODILESS: Final = frozenset({204, 304})
"""Statuses of responses without a body (RFC 9110 section 15)."""

RUN_FAILED_HEADER: Final = "x-ms-run-function-failed"
"""Response header: `True` if run() has failed."""


DRIVER_FAILED: Final = 3
"""Exit code if the driver cannot be served (the Azure ML containers' code), or the port cannot be used."""

OUT_OF_MEMORY: Final = 4
"""Exit code if the kernel has killed a worker process, since the container ran out of memory."""


class Variable:
    """Names of the environment variables of the scoring container; docs/scoring.md explains each."""

    # The image sets these: they depend on the driver.
    APP_ROOT: Final = "AML_APP_ROOT"
    ENTRY_SCRIPT: Final = "AZUREML_ENTRY_SCRIPT"
    MODEL_DIR: Final = "AZUREML_MODEL_DIR"
    SOURCE_DIRECTORY: Final = "AZUREML_SOURCE_DIRECTORY"
    SPARK: Final = "MODELYARD_SPARK"
    WORK_DIR: Final = "MODELYARD_WORK_DIR"

    # The Deployment sets these.
    PORT: Final = "MODELYARD_PORT"
    KEYS_DIR: Final = "MODELYARD_KEYS_DIR"
    MAX_CONCURRENT_REQUESTS: Final = "MODELYARD_MAX_CONCURRENT_REQUESTS"
    WORKERS: Final = "MODELYARD_WORKERS"
    DRAIN_SECONDS: Final = "MODELYARD_DRAIN_SECONDS"
    INIT_SECONDS: Final = "MODELYARD_INIT_SECONDS"
    SCORING_TIMEOUT_MS: Final = "SCORING_TIMEOUT_MS"
    MEMORY_BYTES: Final = "MODELYARD_MEMORY_BYTES"
    TELEMETRY: Final = "AML_APP_INSIGHTS_ENABLED"
    OTLP_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
    SERVICE_NAME: Final = "OTEL_SERVICE_NAME"
    CONNECTION_STRING: Final = "APPLICATIONINSIGHTS_CONNECTION_STRING"

    # The Deployment sets these if spec.pod.runtime of the Service does.
    QUEUE_TIMEOUT_MS: Final = "MODELYARD_QUEUE_TIMEOUT_MS"
    MAX_BODY_BYTES: Final = "MODELYARD_MAX_BODY_BYTES"
    CORS_ORIGINS: Final = "AML_CORS_ORIGINS"
    LOG_LEVEL: Final = "MODELYARD_LOG_LEVEL"

    # Neither sets these: they are for containers that run outside a Service.
    HOST: Final = "MODELYARD_HOST"
    MAX_HELD_BYTES: Final = "MODELYARD_MAX_HELD_BYTES"
    STUCK_SECONDS: Final = "MODELYARD_STUCK_SECONDS"
    ACCESS_LOG: Final = "MODELYARD_ACCESS_LOG"
    WORKER_COUNT: Final = "WORKER_COUNT"
    WORKER_TIMEOUT: Final = "WORKER_TIMEOUT"
    MODEL_NAME: Final = "SERVICE_NAME"
    MODEL_VERSION: Final = "SERVICE_VERSION"
    APP_INSIGHTS_KEY: Final = "AML_APP_INSIGHTS_KEY"
