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
    port: int
    """MODELYARD_PORT: default 5001."""
    keys_dir: Path | None
    """MODELYARD_KEYS_DIR: the mounted Secret with the two keys; None asks for no key at all."""
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

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Raises SettingsError for the first variable that cannot be used."""
        entry_script = environment.get("AZUREML_ENTRY_SCRIPT")
        if not entry_script:
            raise SettingsError("AZUREML_ENTRY_SCRIPT is not set: it names the driver file in AML_APP_ROOT")
        keys_dir = environment.get("MODELYARD_KEYS_DIR")
        return cls(
            app_root=Path(environment.get("AML_APP_ROOT") or "/var/azureml-app"),
            entry_script=entry_script,
            port=_integer(environment, "MODELYARD_PORT", default=5001),
            keys_dir=Path(keys_dir) if keys_dir else None,
            max_concurrent_requests=_integer(environment, "MODELYARD_MAX_CONCURRENT_REQUESTS", default=1),
            queue_timeout_seconds=_integer(environment, "MODELYARD_QUEUE_TIMEOUT_MS", default=500) / 1000,
            scoring_timeout_ms=_integer(environment, "SCORING_TIMEOUT_MS", default=3_600_000),
            drain_seconds=_integer(environment, "MODELYARD_DRAIN_SECONDS", default=30),
            max_body_bytes=_integer(environment, "MODELYARD_MAX_BODY_BYTES", default=100 * 1024 * 1024),
        )


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
