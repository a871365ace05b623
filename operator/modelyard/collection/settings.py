"""Settings of the side-car, read once from its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from modelyard.collection.row import Origin
from modelyard.contract.collection_pod import PORT, SPOOL_DIR, STATE_DIR, CollectorVariable

PARQUET: Final = "parquet"
JSON_LINES: Final = "jsonLines"
FORMATS: Final = (PARQUET, JSON_LINES)
_SPOOL_BYTES: Final = 256 * 1024 * 1024
_BATCH_SECONDS: Final = 60
_FLUSH_SECONDS: Final = 30
_BATCH_BYTES: Final = 64 * 1024 * 1024


class SettingsError(ValueError):
    """A variable has an invalid value; the message names the variable."""


@dataclass(frozen=True)
class CollectionSettings:
    """The settings of one replica, and the defaults of the platform."""

    origin: Origin
    spool_dir: Path
    spool_bytes: int
    state_dir: Path
    destination_dir: Path | None
    """The mounted Secret of the namespace."""
    port: int
    storage: bool
    event_hub: bool
    leave_out: tuple[str, ...]
    """Paths of fields that are not kept."""
    hashed: tuple[str, ...]
    """Paths of fields whose values are replaced by a keyed hash."""
    storage_url: str
    """The platform's; the Secret's `storageUrl` counts first."""
    storage_format: str
    """One of FORMATS."""
    kafka_bootstrap_servers: str
    """The platform's; the Secret's `kafkaBootstrapServers` or `eventHubConnectionString` counts first."""
    kafka_topic: str
    batch_seconds: float
    batch_bytes: int
    flush_seconds: float
    """Time to deliver what is left after SIGTERM."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> CollectionSettings:
        """Read the variables. Raises SettingsError for the first one that is missing or invalid."""

        def text(name: CollectorVariable, default: str = "") -> str:
            return environment.get(name) or default

        platform = _object(environment, CollectorVariable.PLATFORM)
        storage, event_hub = _part(platform, "storage"), _part(platform, "eventHub")
        destination = text(CollectorVariable.DESTINATION_DIR)
        form = str(storage.get("format") or PARQUET)
        if form not in FORMATS:
            raise SettingsError(
                f"{CollectorVariable.PLATFORM}: storage.format must be one of {', '.join(FORMATS)},"
                f" not {form!r}"
            )
        return cls(
            origin=Origin(
                namespace=_required(environment, CollectorVariable.NAMESPACE),
                service=_required(environment, CollectorVariable.SERVICE),
                version=text(CollectorVariable.VERSION, "0"),
                image_digest=text(CollectorVariable.IMAGE_DIGEST),
                model_ids=_texts(environment, CollectorVariable.MODEL_IDS),
                pod=_required(environment, CollectorVariable.POD),
            ),
            spool_dir=Path(text(CollectorVariable.SPOOL_DIR, SPOOL_DIR)),
            spool_bytes=_variable(environment, CollectorVariable.SPOOL_BYTES, _SPOOL_BYTES),
            state_dir=Path(text(CollectorVariable.STATE_DIR, STATE_DIR)),
            destination_dir=Path(destination) if destination else None,
            port=_variable(environment, CollectorVariable.PORT, PORT),
            storage=text(CollectorVariable.STORAGE) == "true",
            event_hub=text(CollectorVariable.EVENT_HUB) == "true",
            leave_out=_texts(environment, CollectorVariable.LEAVE_OUT),
            hashed=_texts(environment, CollectorVariable.HASH),
            storage_url=str(storage.get("url") or ""),
            storage_format=form,
            kafka_bootstrap_servers=str(event_hub.get("bootstrapServers") or ""),
            kafka_topic=str(event_hub.get("topic") or ""),
            batch_seconds=_whole(platform.get("batchSeconds", _BATCH_SECONDS), "batchSeconds"),
            batch_bytes=_whole(platform.get("batchBytes", _BATCH_BYTES), "batchBytes"),
            flush_seconds=_whole(platform.get("flushSeconds", _FLUSH_SECONDS), "flushSeconds"),
        )


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise SettingsError(f"{name} is not set: the operator sets it in the side-car of a Service")
    return value


def _variable(environment: Mapping[str, str], name: str, default: int) -> int:
    return _whole(environment.get(name) or default, name)


def _whole(value: Any, name: str) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise SettingsError(f"{name} must be a whole number of 1 or more, not {value!r}")
    return number


def _texts(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    values = _json(environment, name, "[]")
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise SettingsError(f"{name} must be a JSON list of texts")
    return tuple(values)


def _object(environment: Mapping[str, str], name: str) -> dict[str, Any]:
    value = _json(environment, name, "{}")
    if not isinstance(value, dict):
        raise SettingsError(f"{name} must be a JSON object")
    return value


def _part(platform: Mapping[str, Any], name: str) -> dict[str, Any]:
    part = platform.get(name) or {}
    if not isinstance(part, dict):
        raise SettingsError(f"{CollectorVariable.PLATFORM}: {name} must be a JSON object")
    return part


def _json(environment: Mapping[str, str], name: str, default: str) -> Any:
    try:
        return orjson.loads(environment.get(name) or default)
    except orjson.JSONDecodeError:
        raise SettingsError(f"{name} is not JSON") from None
