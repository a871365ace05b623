"""Settings of data collection in the scoring container, read once from its environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelyard.scoring.contract import Variable
from modelyard.scoring.environment import read_integer

MAX_COLLECTED_BYTES: Final = 1024 * 1024
"""Largest part of a body that a record of data collection keeps."""


@dataclass(frozen=True, slots=True)
class CollectionSettings:
    """The folder and the bounds of data collection, for the front and for the workers."""

    folder: Path
    """MODELYARD_COLLECTION_DIR: the folder of the spool."""
    spool_bytes: int
    """MODELYARD_COLLECTION_SPOOL_BYTES: maximum bytes of all files in the folder, default 256 MiB."""
    sample_percent: int
    """MODELYARD_COLLECTION_SAMPLE_PERCENT: percentage of the requests, default 100."""
    body_bytes: int
    """MODELYARD_COLLECTION_MAX_BODY_BYTES: bytes of each body that a record keeps, default 64 KiB."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "CollectionSettings | None":
        """Read the variables. Return None without a folder. Raises SettingsError for an invalid value."""
        folder = environment.get(Variable.COLLECTION_DIR)
        if not folder:
            return None
        return cls(
            Path(folder),
            read_integer(environment, Variable.COLLECTION_SPOOL_BYTES, default=256 * 1024 * 1024),
            read_integer(environment, Variable.COLLECTION_SAMPLE_PERCENT, default=100, most=100),
            read_integer(
                environment, Variable.COLLECTION_MAX_BODY_BYTES, default=64 * 1024, most=MAX_COLLECTED_BYTES
            ),
        )
