"""Settings of the operator as a whole, and their file."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from modelyard.process_start import read_settings
from modelyard.settings.build import BuildSettings
from modelyard.settings.data_collection import DataCollectionSettings
from modelyard.settings.identity import IdentitySettings
from modelyard.settings.registry import RegistrySettings
from modelyard.settings.routing import RoutingSettings
from modelyard.settings.scoring import ScoringSettings
from modelyard.settings.section import Section
from modelyard.settings.sources import SourcesSettings

CONFIG_VARIABLE: Final = "MODELYARD_CONFIG"


class HistorySettings(Section):
    """Limit of the versions of each object."""

    # Versions beyond the limit are removed unless something refers to them; 0 keeps all versions.
    limit: Annotated[int, Field(ge=0)] = 100


class OperatorSettings(Section):
    """Settings of the operator. Times are in seconds."""

    namespace: str = "modelyard-system"  # namespace of the operator
    watch_namespaces: tuple[str, ...] = ()  # empty: all namespaces
    workers: Annotated[int, Field(ge=1)] = 16  # objects that are reconciled at the same time
    resync_seconds: Annotated[float, Field(gt=0)] = 600
    metrics_port: int = 8080
    liveness_port: int = 8081
    log_format: str = "json"
    log_level: str = "INFO"
    registry: RegistrySettings = RegistrySettings()
    history: HistorySettings = HistorySettings()
    build: BuildSettings = BuildSettings()
    sources: SourcesSettings = SourcesSettings()
    identity: IdentitySettings = IdentitySettings()
    scoring: ScoringSettings = ScoringSettings()
    data_collection: DataCollectionSettings = DataCollectionSettings()
    routing: RoutingSettings = RoutingSettings()

    @property
    def namespaces(self) -> tuple[str | None, ...]:
        """The namespaces to list and watch; None stands for all of them in one request."""
        return self.watch_namespaces or (None,)


def load() -> OperatorSettings:
    """Return the settings in the file that MODELYARD_CONFIG names, or the defaults without that variable.

    Raises pydantic.ValidationError, which names the invalid field, and OSError if the file cannot be read.
    """
    return read_settings(OperatorSettings, CONFIG_VARIABLE)
