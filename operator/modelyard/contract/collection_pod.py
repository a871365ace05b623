"""Environment variables, paths and the port of the side-car that collects the records of a replica.

`resources/collection.py` writes the side-car into the pods of Services. The program in the side-car reads the
same names. The operator reads the state that the side-car tells on its port.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

CONTAINER: Final = "collector"
COMMAND: Final = "collect"
"""Command of the operator's image that runs in the side-car."""
PORT: Final = 5002
"""TCP port of the metrics and of the state; that of the scoring container is 5001."""
PORT_NAME: Final = "collection"
METRICS_PATH: Final = "/metrics"
STATE_PATH: Final = "/state"

SPOOL_DIR: Final = "/var/run/modelyard/collection"
"""Folder of the records, which the scoring container writes and the side-car deletes."""
STATE_DIR: Final = "/var/run/modelyard/collection-state"
"""Folder of the side-car's journal and of its temporary files. The scoring container does not mount it."""
DESTINATION_DIR: Final = "/var/run/modelyard/collection-destination"
"""Folder of the Secret with the destination. The scoring container does not mount it."""


class CollectorVariable(StrEnum):
    """Environment variable that the operator sets in the side-car. All are set; a text may be empty."""

    SPOOL_DIR = "MODELYARD_COLLECTION_DIR"
    """Path of the folder of the records."""
    SPOOL_BYTES = "MODELYARD_COLLECTION_SPOOL_BYTES"
    """Maximum bytes of all records in that folder."""
    STATE_DIR = "MODELYARD_COLLECTION_STATE_DIR"
    """Path of the folder of the journal."""
    DESTINATION_DIR = "MODELYARD_COLLECTION_DESTINATION_DIR"
    """Path of the folder of the namespace's Secret, empty without one. Each key is a file."""
    PORT = "MODELYARD_COLLECTION_PORT"
    """TCP port of the metrics and of the state."""
    NAMESPACE = "MODELYARD_COLLECTION_NAMESPACE"
    """Namespace of the Service."""
    SERVICE = "MODELYARD_COLLECTION_SERVICE"
    """Name of the Service."""
    VERSION = "MODELYARD_COLLECTION_VERSION"
    """Version of the Service that started the pod."""
    POD = "MODELYARD_COLLECTION_POD"
    """Name of the pod."""
    IMAGE_DIGEST = "MODELYARD_COLLECTION_IMAGE_DIGEST"
    """Digest of the image of the scoring container."""
    MODEL_IDS = "MODELYARD_COLLECTION_MODEL_IDS"
    """Ids of the models in that image, a JSON list."""
    STORAGE = "MODELYARD_COLLECTION_STORAGE"
    """`true` writes the records to the storage."""
    EVENT_HUB = "MODELYARD_COLLECTION_EVENT_HUB"
    """`true` sends the records to the event hub."""
    LEAVE_OUT = "MODELYARD_COLLECTION_LEAVE_OUT"
    """Paths of fields to leave out, a JSON list."""
    HASH = "MODELYARD_COLLECTION_HASH"
    """Paths of fields whose values are replaced by a keyed hash, a JSON list."""
    PLATFORM = "MODELYARD_COLLECTION_PLATFORM"
    """Destinations and batches of the platform as a JSON object: `storage` (`url`, `format`), `eventHub`
    (`bootstrapServers`, `topic`), `batchSeconds`, `batchBytes`, `flushSeconds`."""
