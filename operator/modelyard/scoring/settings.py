"""Settings of one scoring process, read once from its environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelyard.scoring.contract import APP_ROOT, PORT, Variable
from modelyard.scoring.environment import SettingsError, read_integer
from modelyard.scoring.spool.settings import CollectionSettings

NO_TIMEOUT_MS: Final = 10**12
"""Thirty years: SCORING_TIMEOUT_MS=0 is no limit, as in the Azure ML containers."""

DEFAULT_ENTRY_SCRIPT: Final = "main.py"
"""The driver file of the Azure ML containers if no variable names one."""

LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")

_PATTERN_CHARACTERS: Final = frozenset("*\\?$^[]()")
"""An origin with one of them is a regular expression (the rule of flask-cors)."""


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """The settings from image and Deployment. Defaults are those of the Azure ML scoring containers."""

    app_root: Path
    """AML_APP_ROOT: the folder of the driver's files, default /var/azureml-app."""
    entry_script: str
    """AZUREML_ENTRY_SCRIPT: the driver file, relative to app_root; default main.py if there is one."""
    work_dir: Path | None
    """MODELYARD_WORK_DIR: the working directory to make for the driver; None is app_root. Images set it."""
    host: str
    """MODELYARD_HOST: the address to listen at, default 0.0.0.0: clients are outside the container."""
    port: int
    """MODELYARD_PORT: default 5001."""
    keys_dir: Path | None
    """MODELYARD_KEYS_DIR: the folder where the Secret with the two keys is mounted; None turns keys off."""
    init_seconds: int
    """MODELYARD_INIT_SECONDS: the process is unhealthy if init() takes longer, default 3600."""
    max_concurrent_requests: int
    """MODELYARD_MAX_CONCURRENT_REQUESTS: run() calls at once, default 1."""
    queue_timeout_seconds: float
    """MODELYARD_QUEUE_TIMEOUT_MS, in seconds: the longest wait for run() to begin, default 0.5."""
    scoring_timeout_ms: int
    """SCORING_TIMEOUT_MS: the longest run(), in milliseconds, default 3600000; 0 is no limit.

    WORKER_TIMEOUT, in seconds, is a second limit: the shorter one counts.
    """
    drain_seconds: float
    """MODELYARD_DRAIN_SECONDS: the longest time from SIGTERM to the end of the process, default 30."""
    max_body_bytes: int
    """MODELYARD_MAX_BODY_BYTES: larger request bodies get 413, default 100 MiB."""
    max_held_bytes: int
    """MODELYARD_MAX_HELD_BYTES: all request bodies in memory together; requests beyond get 503.

    Default 256 MiB, and never less than max_body_bytes.
    """
    workers: int
    """MODELYARD_WORKERS, or else WORKER_COUNT: minimum number of worker processes, default 1.

    Each loads the model, and they share the requests. Without THREAD_SAFE = True in the driver, concurrent
    requests have more of them (request_queue).
    """
    spark: bool
    """MODELYARD_SPARK: `true` starts a Spark session in each worker; default false."""
    stuck_seconds: float
    """MODELYARD_STUCK_SECONDS: default 60. The process is not ready if all workers are busy for longer
    without a reply. SCORING_TIMEOUT_MS decides when a worker is restarted."""
    cors_origins: tuple[re.Pattern[str], ...]
    """AML_CORS_ORIGINS: comma-separated origins whose pages may call the service; default none.

    An origin may be a regular expression, which must match the whole origin. `*` is any origin.
    """
    access_log: bool
    """MODELYARD_ACCESS_LOG: `true` logs a line for every scoring request; by default only failed runs are.

    So does MODELYARD_LOG_LEVEL=DEBUG.
    """
    log_level: str | None
    """MODELYARD_LOG_LEVEL: the lowest level of log lines: DEBUG, INFO, WARNING or ERROR.

    Without it INFO for the runtime, and WARNING for the driver's logging.
    """
    telemetry: bool
    """AML_APP_INSIGHTS_ENABLED: `true` sends traces to OTEL_EXPORTER_OTLP_ENDPOINT and to the Application
    Insights of APPLICATIONINSIGHTS_CONNECTION_STRING; default false."""
    model_name: str
    """SERVICE_NAME: the only model of the Open Inference Protocol. Default empty: each name is accepted,
    since a container has one driver."""
    model_version: str
    """SERVICE_VERSION: the only version of the model. Default empty: the model has no versions."""

    collection: CollectionSettings | None
    """Data collection; None collects nothing."""

    @property
    def threads_per_worker(self) -> int:
        """Return how many run() calls go on at once in each worker process of a thread-safe driver."""
        return -(-self.max_concurrent_requests // self.workers)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "RuntimeSettings":
        """Read the variables. Raises SettingsError for the first one that is missing or invalid."""
        app_root = Path(environment.get(Variable.APP_ROOT) or APP_ROOT)
        entry_script = environment.get(Variable.ENTRY_SCRIPT)
        if not entry_script and (app_root / DEFAULT_ENTRY_SCRIPT).is_file():
            entry_script = DEFAULT_ENTRY_SCRIPT
        if not entry_script:
            raise SettingsError(
                f"{Variable.ENTRY_SCRIPT} is not set: it names the driver file in {Variable.APP_ROOT}"
            )
        keys_dir = environment.get(Variable.KEYS_DIR)
        work_dir = environment.get(Variable.WORK_DIR)
        max_body_bytes = read_integer(environment, Variable.MAX_BODY_BYTES, default=100 * 1024 * 1024)
        max_held_bytes = read_integer(environment, Variable.MAX_HELD_BYTES, default=256 * 1024 * 1024)
        worker_count = read_integer(environment, Variable.WORKER_COUNT, default=1)
        workers = read_integer(environment, Variable.WORKERS, default=worker_count)
        concurrent = read_integer(environment, Variable.MAX_CONCURRENT_REQUESTS, default=1)
        origins = environment.get(Variable.CORS_ORIGINS, "").split(",")
        log_level = _level(environment)
        return cls(
            app_root=app_root,
            entry_script=entry_script,
            work_dir=Path(work_dir) if work_dir else None,
            host=environment.get(Variable.HOST) or "0.0.0.0",  # noqa: S104 - see the field
            port=read_integer(environment, Variable.PORT, default=PORT),
            keys_dir=Path(keys_dir) if keys_dir else None,
            init_seconds=read_integer(environment, Variable.INIT_SECONDS, default=3600),
            max_concurrent_requests=max(concurrent, workers),
            queue_timeout_seconds=read_integer(environment, Variable.QUEUE_TIMEOUT_MS, default=500) / 1000,
            scoring_timeout_ms=min(
                _milliseconds(environment, Variable.SCORING_TIMEOUT_MS, default=3_600_000),
                1000 * _milliseconds(environment, Variable.WORKER_TIMEOUT, default=NO_TIMEOUT_MS),
            ),
            drain_seconds=read_integer(environment, Variable.DRAIN_SECONDS, default=30),
            max_body_bytes=max_body_bytes,
            max_held_bytes=max(max_held_bytes, max_body_bytes),
            workers=workers,
            spark=environment.get(Variable.SPARK) == "true",
            stuck_seconds=read_integer(environment, Variable.STUCK_SECONDS, default=60),
            cors_origins=tuple(_origin_pattern(origin.strip()) for origin in origins if origin.strip()),
            access_log=log_level == "DEBUG" or _flag(environment, Variable.ACCESS_LOG),
            log_level=log_level,
            telemetry=_flag(environment, Variable.TELEMETRY),
            model_name=environment.get(Variable.MODEL_NAME, ""),
            model_version=environment.get(Variable.MODEL_VERSION, ""),
            collection=CollectionSettings.from_environment(environment),
        )


def _level(environment: Mapping[str, str]) -> str | None:
    level = environment.get(Variable.LOG_LEVEL, "").upper()
    if level and level not in LOG_LEVELS:
        raise SettingsError(f"{Variable.LOG_LEVEL} must be one of {', '.join(LOG_LEVELS)}, not {level!r}")
    return level or None


def _flag(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").lower() in ("true", "1")


def _origin_pattern(origin: str) -> re.Pattern[str]:
    """Return the pattern of one allowed origin. Raises SettingsError if it is no regular expression."""
    if origin == "*":
        origin = ".*"
    elif not _PATTERN_CHARACTERS & set(origin):
        origin = re.escape(origin)
    try:
        return re.compile(origin, re.IGNORECASE)
    except re.error as error:
        raise SettingsError(
            f"{Variable.CORS_ORIGINS}: {origin!r} is no regular expression: {error}"
        ) from None


def _milliseconds(environment: Mapping[str, str], name: str, *, default: int) -> int:
    """Return a time limit: 0 is none, and 500.0 is 500, as in the Azure ML containers."""
    text = environment.get(name, "").strip()
    whole, _, zeros = text.partition(".")
    if not zeros.strip("0") and whole.isdecimal():
        return int(whole) or NO_TIMEOUT_MS
    return read_integer(environment, name, default=default)
