"""Parquet files: columns that pandas, DuckDB and Spark read without a setting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

from arro3.core import Array, DataType, Field, RecordBatch, RecordBatchReader, Schema, list_array
from arro3.io import write_parquet
from msgspec.structs import astuple

from modelyard.collection.columns import Columns
from modelyard.collection.declared_arrays import declared_arrays, declared_fields, declared_paths
from modelyard.collection.encoding import FILE_BYTES, Chunks, declared_columns
from modelyard.collection.row import Origin, Row

_TEXT: Final = DataType.utf8()
_INTEGER: Final = DataType.int64()
_TIME: Final = DataType.timestamp("us", tz="UTC")

_COMPRESSION: Final = "zstd(1)"
"""Spark, DuckDB and pandas read it without a setting."""
_CHUNKS_IN_GROUP: Final = 16
"""Chunks in a row group: readers are slow with small groups, and the writer has a group in memory."""
_PAGE_BYTES: Final = 256 * 1024
"""A page is in memory without compression, one for each column."""
_CREATED_BY: Final = "modelyard"

_Column = tuple[str, DataType, int]
"""Name, type, and the position of its values among those of a row."""

_position = Row.__struct_fields__.index

_BEFORE: Final[tuple[_Column, ...]] = (
    ("requestId", _TEXT, _position("request_id")),
    ("correlationId", _TEXT, _position("correlation_id")),
    ("traceId", _TEXT, _position("trace_id")),
)
_AFTER: Final[tuple[_Column, ...]] = (
    ("name", _TEXT, _position("name")),
    ("method", _TEXT, _position("method")),
    ("operation", _TEXT, _position("operation")),
    ("status", DataType.int32(), _position("status")),
    ("durationSeconds", DataType.float64(), _position("duration_seconds")),
    ("requestType", _TEXT, _position("request_type")),
    ("responseType", _TEXT, _position("response_type")),
    ("requestBytes", _INTEGER, _position("request_bytes")),
    ("responseBytes", _INTEGER, _position("response_bytes")),
    ("inputs", _TEXT, _position("inputs")),
    ("prediction", _TEXT, _position("prediction")),
    ("inputsReference", _TEXT, _position("inputs_reference")),
    ("predictionReference", _TEXT, _position("prediction_reference")),
    ("truncated", DataType.bool(), _position("truncated")),
)
_UNIQUE_VALUES: Final = ("requestId", "correlationId", "traceId", "inputs", "prediction")
"""A dictionary of their values would take memory and save nothing."""


class ParquetEncoder:
    """Writes a row group for some chunks."""

    suffix = "parquet"

    def __init__(self, origin: Origin) -> None:
        """`origin` is the replica of the rows."""
        self._origin = origin
        model_ids = Field("item", _TEXT)
        self._model_ids = model_ids
        self._same: Sequence[Array] = ()
        """The columns of the replica, which have the same value in each row, for the largest chunk so far."""
        self._fields = [
            Field("time", _TIME),
            *(Field(name, kind) for name, kind, _ in _BEFORE),
            *(Field(name, _TEXT) for name in ("namespace", "service", "version", "imageDigest")),
            Field("modelIds", DataType.list(model_ids)),
            *(Field(name, kind) for name, kind, _ in _AFTER),
        ]

    def write(self, chunks: Chunks, file: BinaryIO) -> int:
        """Write chunks, see Encoder."""
        first = next(chunks, None)
        if first is None:
            return 0
        rows = 0
        declared = declared_columns(first)
        schema = Schema([*self._fields, *(declared_fields(declared) if declared else ())])
        paths = declared_paths(declared) if declared else []

        def batches() -> Iterator[RecordBatch]:
            nonlocal rows
            chunk: Sequence[Row] | None = first
            unwritten, end = 0, 0
            while chunk is not None:
                rows += len(chunk)
                yield self._record_batch(chunk, schema, declared)
                if file.tell() != end:
                    unwritten, end = 0, file.tell()
                unwritten += sum(len(row.inputs or "") + len(row.prediction or "") for row in chunk)
                if end + unwritten >= FILE_BYTES:
                    return
                chunk = next(chunks, None)

        write_parquet(
            RecordBatchReader.from_batches(schema, batches()),
            file,
            compression=_COMPRESSION,
            created_by=_CREATED_BY,
            data_page_size_limit=_PAGE_BYTES,
            max_row_group_size=_CHUNKS_IN_GROUP * len(first),
            column_dictionary_enabled=dict.fromkeys([*_UNIQUE_VALUES, *paths], False),
            skip_arrow_metadata=True,
        )
        return rows

    def _record_batch(self, rows: Sequence[Row], schema: Schema, declared: Columns | None) -> RecordBatch:
        values = list(zip(*map(astuple, rows), strict=True))
        columns = [
            Array(values[_position("time_us")], _INTEGER).cast(_TIME),
            *(Array(values[position], kind) for _, kind, position in _BEFORE),
            *self._columns_of_replica(len(rows)),
            *(Array(values[position], kind) for _, kind, position in _AFTER),
            *(declared_arrays(declared, rows) if declared else ()),
        ]
        return RecordBatch.from_arrays(columns, schema=schema)

    def _columns_of_replica(self, count: int) -> Sequence[Array]:
        if not self._same or len(self._same[0]) < count:
            origin = self._origin
            texts = (origin.namespace, origin.service, origin.version, origin.image_digest)
            self._same = [*(Array([text] * count, _TEXT) for text in texts), self._list_of_models(count)]
        return [column.slice(0, count) for column in self._same]

    def _list_of_models(self, count: int) -> Array:
        ids = self._origin.model_ids
        offsets = Array([i * len(ids) for i in range(count + 1)], DataType.int32())
        return list_array(offsets, Array(list(ids) * count, _TEXT), type=DataType.list(self._model_ids))
