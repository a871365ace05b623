"""Settings of data collection: the destinations of the platform, and the side-car that writes to them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from modelyard.settings.section import Section

Format = Literal["parquet", "jsonLines"]


class CollectionStorageSettings(Section):
    """The storage for records of Services whose namespace names no other one."""

    url: str = ""  # s3://bucket/prefix, abfs://… or gs://…; empty: none
    format: Format = "parquet"


class EventHubSettings(Section):
    """The event hub, or a Kafka cluster, for records of Services whose namespace names no other one."""

    bootstrap_servers: str = ""  # host:port of brokers, by commas; empty: none
    topic: str = ""


class DataCollectionSettings(Section):
    """Settings of Services with dataCollection."""

    image: str = "modelyard:dev"  # image of the operator, which contains the collector
    image_pull_policy: str = "IfNotPresent"
    # Secret in the namespace of each Service with its destination and its credentials; empty: none.
    secret_name: str = "modelyard-data-collection"  # noqa: S105 - a name
    storage: CollectionStorageSettings = CollectionStorageSettings()
    event_hub: EventHubSettings = EventHubSettings()
    batch_seconds: Annotated[int, Field(ge=1)] = 60  # after which a file is written
    batch_bytes: Annotated[int, Field(ge=1)] = 64 * 1024 * 1024  # of records, at which a file is written
    spool_bytes: Annotated[int, Field(ge=8 * 1024 * 1024)] = (
        256 * 1024 * 1024
    )  # of a replica's records on disk
    flush_seconds: Annotated[int, Field(ge=1)] = 30  # that a stopping replica has to write its last records
    poll_seconds: Annotated[float, Field(gt=0)] = 30  # between two questions to each collector
    resources: dict[str, Any] = Field(
        default_factory=lambda: {
            "requests": {"cpu": "10m", "memory": "64Mi"},
            "limits": {"memory": "128Mi"},
        }
    )
    extra_env: tuple[dict[str, Any], ...] = ()

    @property
    def offers_storage(self) -> bool:
        """Return whether records may have a storage."""
        return bool(self.storage.url or self.secret_name)

    @property
    def offers_event_hub(self) -> bool:
        """Return whether records may have an event hub."""
        return bool(self.event_hub.bootstrap_servers or self.secret_name)
