"""A row: one record as the readers of storage and event hub see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import orjson
from msgspec import Struct, defstruct, json
from msgspec.structs import astuple

from modelyard.collection.columns import Columns

_NOTHING: Final[Mapping[str, Any]] = {}
_FIRST_ERROR: Final = 400
"""From this status on, the response is a message and no prediction."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Origin:
    """The replica of the rows; the same for all rows of a side-car."""

    namespace: str
    service: str
    version: str
    """Version of the Service."""
    image_digest: str
    model_ids: tuple[str, ...]
    pod: str


class Row(Struct, frozen=True, gc=False):
    """A scored request, or the data of a driver's collector."""

    time_us: int
    """Microseconds since the epoch, UTC."""
    request_id: str
    correlation_id: str
    """The same for rows that belong together."""
    trace_id: str | None
    name: str
    """`scoring`, or the name of the driver's collector."""
    method: str
    operation: str
    """`score`, `infer` or `driver`."""
    status: int
    """HTTP status of the response; 0 for data of a driver."""
    duration_seconds: float
    request_type: str | None
    response_type: str | None
    request_bytes: int
    """Size of the whole body."""
    response_bytes: int
    inputs: str | None
    """The request's body; None if it is binary, or may contain fields that must not be kept."""
    prediction: str | None
    """The response's body, as `inputs`."""
    inputs_reference: str | None
    """`sha256:` and the digest of the whole body, if `inputs` is not the whole body."""
    prediction_reference: str | None
    truncated: bool
    """`inputs` or `prediction` is the beginning of a larger body."""
    columns: Columns | None = None
    """The declared columns; None for rows without any, such as the data of a driver's collector."""

    def column_values(self, columns: Columns) -> Iterable[Any]:
        """Return the values of a file's declared columns; null for a body that is not whole."""
        if self.columns is None:
            return [None] * len(columns.names)
        inputs = self.inputs if self.inputs_reference is None else None
        has_result = self.prediction_reference is None and self.status < _FIRST_ERROR
        return columns.values(inputs, self.prediction if has_result else None, is_query=self.method == "GET")


_Values = defstruct("_Values", Row.__struct_fields__[1:-1], rename="camel", gc=False)
"""The values of a row in JSON beside its time. The names are those of the Parquet columns."""


class RowEncoder:
    """Encodes the rows of one replica as JSON."""

    def __init__(self, origin: Origin) -> None:
        """`origin` is the replica of the rows."""
        same = {
            "namespace": origin.namespace,
            "service": origin.service,
            "version": origin.version,
            "imageDigest": origin.image_digest,
            "modelIds": origin.model_ids,
        }
        self._origin = b'Z",' + orjson.dumps(same)[1:-1] + b","
        self._encode = json.Encoder().encode

    def encode(self, row: Row, declared: Mapping[str, Any] = _NOTHING) -> bytes:
        """Return a row as one line of JSON, without a line end. The names are those of the Parquet columns.

        `declared` are the values of declared columns by name.
        """
        second, microseconds = divmod(row.time_us, 1_000_000)
        values = self._encode(_Values(*astuple(row)[1:-1]))
        parts = [_second(second), b"%06d" % microseconds, self._origin, values[1:]]
        if declared:
            parts[-1:] = values[1:-1], b",", orjson.dumps(declared)[1:]
        return b"".join(parts)


@lru_cache(maxsize=256)
def _second(second: int) -> bytes:
    """Return the beginning of a row, with a second since the epoch. The rows of a batch have few seconds."""
    return f'{{"time":"{_EPOCH + timedelta(seconds=second):%Y-%m-%dT%H:%M:%S}.'.encode()
