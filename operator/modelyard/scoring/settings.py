"""Settings of one scoring process, read once from its environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SettingsError(ValueError):
    """An environment variable is missing or has a value that cannot be used; the message names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the image and the Deployment decide. Defaults are those of the Azure ML scoring containers."""

    app_root: Path
    """AML_APP_ROOT: the folder of the driver's files, default /var/azureml-app."""
    entry_script: str
    """AZUREML_ENTRY_SCRIPT: the driver file, relative to app_root."""
    host: str
    """MODELYARD_HOST: the address to listen at, default 0.0.0.0, as a container's port is meant to be reached
    from outside."""
    port: int
    """MODELYARD_PORT: default 5001."""
    keys_dir: Path | None
    """MODELYARD_KEYS_DIR: the mounted Secret with the two keys; None asks for no key at all."""
    init_seconds: int
    """MODELYARD_INIT_SECONDS: after so long without the end of an init() the process is not healthy,
    default 3600."""
    max_concurrent_requests: int
    """MODELYARD_MAX_CONCURRENT_REQUESTS: how many run() calls go on at once, default 1."""
    queue_timeout_seconds: float
    """MODELYARD_QUEUE_TIMEOUT_MS, in seconds: how long a request may wait for its turn, default 0.5."""
    scoring_timeout_ms: int
    """SCORING_TIMEOUT_MS: how long one run() may take, in milliseconds, default 3600000."""
    drain_seconds: float
    """MODELYARD_DRAIN_SECONDS: from SIGTERM to the end of the process at most, default 30."""
    max_body_bytes: int
    """MODELYARD_MAX_BODY_BYTES: larger request bodies get 413, default 100 MiB."""
    max_held_bytes: int
    """MODELYARD_MAX_HELD_BYTES: all request bodies in memory together, default 256 MiB and never less
    than one body of the largest size. What would be more gets 503."""
    workers: int
    """MODELYARD_WORKERS: processes with the driver, default 1. Each loads the model. The concurrent
    requests are shared out to them; there are never fewer requests than processes."""
    stuck_seconds: float
    """MODELYARD_STUCK_SECONDS: when all workers have been busy for so long and replied nothing, the
    process is not ready, default 60. After SCORING_TIMEOUT_MS the worker is restarted."""
    cors_origins: tuple[str, ...]
    """AML_CORS_ORIGINS: comma list of origins whose pages may score, `*` for any; default none."""
    access_log: bool
    """MODELYARD_ACCESS_LOG: `true` logs a line for every scoring request, default only for failed runs."""
    telemetry: bool
    """AML_APP_INSIGHTS_ENABLED: `true` sends traces to OTEL_EXPORTER_OTLP_ENDPOINT or to
    APPLICATIONINSIGHTS_CONNECTION_STRING, default false."""

    @property
    def threads_per_worker(self) -> int:
        """How many run() calls go on at once in each process."""
        return -(-self.max_concurrent_requests // self.workers)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Raises SettingsError for the first variable that cannot be used."""
        entry_script = environment.get("AZUREML_ENTRY_SCRIPT")
        if not entry_script:
            raise SettingsError("AZUREML_ENTRY_SCRIPT is not set: it names the driver file in AML_APP_ROOT")
        keys_dir = environment.get("MODELYARD_KEYS_DIR")
        max_body_bytes = _integer(environment, "MODELYARD_MAX_BODY_BYTES", default=100 * 1024 * 1024)
        max_held_bytes = _integer(environment, "MODELYARD_MAX_HELD_BYTES", default=256 * 1024 * 1024)
        workers = _integer(environment, "MODELYARD_WORKERS", default=1)
        concurrent = _integer(environment, "MODELYARD_MAX_CONCURRENT_REQUESTS", default=1)
        origins = environment.get("AML_CORS_ORIGINS", "").split(",")
        return cls(
            app_root=Path(environment.get("AML_APP_ROOT") or "/var/azureml-app"),
            entry_script=entry_script,
            host=environment.get("MODELYARD_HOST") or "0.0.0.0",  # noqa: S104 - see above
            port=_integer(environment, "MODELYARD_PORT", default=5001),
            keys_dir=Path(keys_dir) if keys_dir else None,
            init_seconds=_integer(environment, "MODELYARD_INIT_SECONDS", default=3600),
            max_concurrent_requests=max(concurrent, workers),
            queue_timeout_seconds=_integer(environment, "MODELYARD_QUEUE_TIMEOUT_MS", default=500) / 1000,
            scoring_timeout_ms=_integer(environment, "SCORING_TIMEOUT_MS", default=3_600_000),
            drain_seconds=_integer(environment, "MODELYARD_DRAIN_SECONDS", default=30),
            max_body_bytes=max_body_bytes,
            max_held_bytes=max(max_held_bytes, max_body_bytes),
            workers=workers,
            stuck_seconds=_integer(environment, "MODELYARD_STUCK_SECONDS", default=60),
            cors_origins=tuple(origin.strip() for origin in origins if origin.strip()),
            access_log=_flag(environment, "MODELYARD_ACCESS_LOG"),
            telemetry=_flag(environment, "AML_APP_INSIGHTS_ENABLED"),
        )


def _flag(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").lower() in ("true", "1")


def _integer(environment: Mapping[str, str], name: str, *, default: int) -> int:
    text = environment.get(name)
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        raise SettingsError(f"{name} must be a whole number, not {text!r}") from None
    if value < 1:
        raise SettingsError(f"{name} must be 1 or more, not {value}")
    return value
