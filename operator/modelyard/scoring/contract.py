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

LOAD_PATH: Final = "/load"
"""Path of the replica's load as JSON, for the autoscaler: running, waiting, places, requests, ready."""

METRICS_PATH: Final = "/metrics"
"""Path of the replica's metrics, in Prometheus' text format."""

BODILESS: Final = frozenset({204, 304})
"""Statuses of responses without a body (RFC 9110 section 15)."""

RUN_FAILED_HEADER: Final = "x-ms-run-function-failed"
"""Response header: `True` if run() has failed."""

PREFIX_HEADER: Final = "X-Forwarded-Prefix"
"""Request header with the part of the path that the data plane removed, as Traefik and Spring name it."""


DRIVER_FAILED: Final = 3
"""Exit code if the driver cannot be served (the Azure ML containers' code), or the port cannot be used."""

OUT_OF_MEMORY: Final = 4
"""Exit code if the kernel has killed a worker process, since the container ran out of memory."""


class Variable:
    """Names of the environment variables of the scoring container; docs/reference.md has them as a table.

    The text of each one is its meaning, and its default.
    """

    # The image sets these: they depend on the driver.
    APP_ROOT: Final = "AML_APP_ROOT"
    """The folder of the driver's files. Images set it. Default: `/var/azureml-app`."""
    ENTRY_SCRIPT: Final = "AZUREML_ENTRY_SCRIPT"
    """The driver file, in `AML_APP_ROOT`. Images set it. Default: `main.py`, if it exists."""
    MODEL_DIR: Final = "AZUREML_MODEL_DIR"
    """The folder of the model, for the driver. Images set it."""
    SOURCE_DIRECTORY: Final = "AZUREML_SOURCE_DIRECTORY"
    """A folder in `AML_APP_ROOT` whose modules the driver can import."""
    SPARK: Final = "MODELYARD_SPARK"
    """`true` starts a Spark session before the driver. Images with `runtimeType: SparkPython` set it."""
    WORK_DIR: Final = "MODELYARD_WORK_DIR"
    """The writable working directory to make for the driver. Images set it to `/tmp/azureml-app`."""

    # The Deployment sets these.
    PORT: Final = "MODELYARD_PORT"
    """The TCP port to listen at. Default: 5001."""
    KEYS_DIR: Final = "MODELYARD_KEYS_DIR"
    """The folder of the keys. Services set it. By default no key is needed."""
    MAX_CONCURRENT_REQUESTS: Final = "MODELYARD_MAX_CONCURRENT_REQUESTS"
    """Maximum number of `run()` calls at once. Services set it. Default: 1."""
    WORKERS: Final = "MODELYARD_WORKERS"
    """Minimum number of worker processes. Services set it. Default: `WORKER_COUNT`, or else 1."""
    DRAIN_SECONDS: Final = "MODELYARD_DRAIN_SECONDS"
    """Maximum seconds from SIGTERM to the end of the process. Services set it. Default: 30."""
    INIT_SECONDS: Final = "MODELYARD_INIT_SECONDS"
    """Maximum seconds of `init()`, after which the container is unhealthy. Services set it. Default: 3600."""
    SCORING_TIMEOUT_MS: Final = "SCORING_TIMEOUT_MS"
    """Maximum milliseconds of one `run()`; 0 is no limit. Default: 3600000."""
    MEMORY_BYTES: Final = "MODELYARD_MEMORY_BYTES"
    """The memory request of the container, by which Spark sizes Java's heap. Services set it."""
    TELEMETRY: Final = "AML_APP_INSIGHTS_ENABLED"
    """`true` sends a span for each scoring request. Default: `false`."""
    OTLP_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
    """URL of an OTLP collector that gets the spans by HTTP."""
    OTLP_TRACES_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    """The same with the whole path. Default: `OTEL_EXPORTER_OTLP_ENDPOINT` with `/v1/traces`."""
    OTLP_HEADERS: Final = "OTEL_EXPORTER_OTLP_HEADERS"
    """Headers for the collector, as `name=value,…`."""
    RESOURCE_ATTRIBUTES: Final = "OTEL_RESOURCE_ATTRIBUTES"
    """Attributes of all spans, as `name=value,…`."""
    SAMPLER: Final = "OTEL_TRACES_SAMPLER"
    """A sampler that ends in `traceidratio` exports a share of the traces. Default: all."""
    SAMPLER_ARGUMENT: Final = "OTEL_TRACES_SAMPLER_ARG"
    """The share of the traces, from 0 to 1. Default: 1."""
    SERVICE_NAME: Final = "OTEL_SERVICE_NAME"
    """The name of the Service in traces. Services set it."""
    CONNECTION_STRING: Final = "APPLICATIONINSIGHTS_CONNECTION_STRING"
    """The Application Insights resource that gets the spans."""

    # The Deployment sets these if spec.pod.runtime of the Service does.
    QUEUE_TIMEOUT_MS: Final = "MODELYARD_QUEUE_TIMEOUT_MS"
    """Maximum milliseconds that a request waits for its `run()`. Default: 500."""
    MAX_BODY_BYTES: Final = "MODELYARD_MAX_BODY_BYTES"
    """Maximum bytes of a request body, also of an unpacked one. Default: 104857600 (100 MiB)."""
    CORS_ORIGINS: Final = "AML_CORS_ORIGINS"
    """Origins whose pages may call the service, by commas: `https://a.example`, regular expressions of whole
    origins such as `https://.*\\.a\\.example`, or `*`. By default none may."""
    LOG_LEVEL: Final = "MODELYARD_LOG_LEVEL"
    """Lowest level of log lines: `DEBUG`, `INFO`, `WARNING` or `ERROR`. By default the runtime logs from INFO
    on, and the driver's loggers from WARNING on."""

    # The Deployment sets these if spec.dataCollection of the Service does.
    COLLECTION_DIR: Final = "MODELYARD_COLLECTION_DIR"
    """The folder to write the records of data collection into. By default nothing is collected."""
    COLLECTION_SPOOL_BYTES: Final = "MODELYARD_COLLECTION_SPOOL_BYTES"
    """Maximum bytes of all records in that folder. Further ones are dropped and counted. Default: 268435456
    (256 MiB)."""
    COLLECTION_SAMPLE_PERCENT: Final = "MODELYARD_COLLECTION_SAMPLE_PERCENT"
    """Percentage of the requests to collect, chosen by request id. Default: 100."""
    COLLECTION_MAX_BODY_BYTES: Final = "MODELYARD_COLLECTION_MAX_BODY_BYTES"
    """Maximum bytes of each body in a record; the rest is cut. Default: 65536."""

    # Neither sets these: they are for containers that run outside a Service.
    HOST: Final = "MODELYARD_HOST"
    """The address to listen at. Default: `0.0.0.0`."""
    MAX_HELD_BYTES: Final = "MODELYARD_MAX_HELD_BYTES"
    """Maximum bytes of all request bodies in memory. Default: 268435456 (256 MiB)."""
    STUCK_SECONDS: Final = "MODELYARD_STUCK_SECONDS"
    """Seconds after which a replica that sends no reply is not ready. Default: 60."""
    ACCESS_LOG: Final = "MODELYARD_ACCESS_LOG"
    """`true` logs a line for each scoring request, and so does the log level DEBUG. Default: `false`."""
    WORKER_COUNT: Final = "WORKER_COUNT"
    """The name of the Azure ML containers for `MODELYARD_WORKERS`."""
    WORKER_TIMEOUT: Final = "WORKER_TIMEOUT"
    """Maximum seconds of one `run()`. The shorter limit of this one and `SCORING_TIMEOUT_MS` counts."""
    MODEL_NAME: Final = "SERVICE_NAME"
    """The title in the OpenAPI documents, and if set the only model of `/v2/models`."""
    MODEL_VERSION: Final = "SERVICE_VERSION"
    """The version in the OpenAPI documents, and if set the only one of the model. Default: `1.0`."""
    PATH_PREFIX: Final = "SERVICE_PATH_PREFIX"
    """The prefix of all paths in the OpenAPI documents. Default: none."""
    APP_INSIGHTS_KEY: Final = "AML_APP_INSIGHTS_KEY"
    """If it is no UUID, the driver reads `false` in `AML_APP_INSIGHTS_ENABLED`."""
    DATA_COLLECTOR_DEBUG: Final = "AML_MODEL_DC_DEBUG"
    """`true` prints the rows that a driver of 2017 passes to its ModelDataCollector."""
