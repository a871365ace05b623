"""From records of the spool to rows."""

from __future__ import annotations

import hashlib
from typing import Final

from modelyard.collection.columns import Columns
from modelyard.collection.fields import NotJsonError, ProtectedFields
from modelyard.collection.row import Row
from modelyard.scoring.spool.declared import decode_declared
from modelyard.scoring.spool.record import SCORE, Record

_MAX_INTEGER: Final = 2**63 - 1
_MAX_TIME_US: Final = 253_402_300_799_999_999
"""The end of the year 9999, the last one of Python and of many readers: a driver can write any time."""
_PARTIAL_CHARACTER: Final = 3
"""Bytes at the end of a cut text that may be the beginning of a character of UTF-8."""


class Transformation:
    """Makes rows of records. It keeps no field that must not be kept."""

    def __init__(self, fields: ProtectedFields) -> None:
        """`fields` are left out or hashed in the bodies of requests and responses."""
        self._fields = fields
        self._protects = bool(fields)
        self._declared = b""
        self._columns: Columns | None = None

    def row(self, record: Record, declared: bytes = b"") -> Row:
        """Return the row of a record. `declared` are its declared columns, see spool.declared."""
        if declared != self._declared:
            self._declared = declared
            columns = Columns(decode_declared(declared), self._fields)
            self._columns = columns if columns.names else None
        request, response = record.request, record.response
        inputs, inputs_reference = self._body(request, record.request_bytes, record.request_sha256)
        prediction, reference = self._body(response, record.response_bytes, record.response_sha256)
        return Row(
            min(record.time_ns // 1000, _MAX_TIME_US),
            record.request_id,
            record.correlation_id,
            record.trace_id or None,
            record.name,
            record.method,
            record.kind,
            record.status,
            record.duration_us / 1e6,
            record.request_type or None,
            record.response_type or None,
            min(record.request_bytes, _MAX_INTEGER),
            min(record.response_bytes, _MAX_INTEGER),
            inputs,
            prediction,
            inputs_reference,
            reference,
            (bool(request) and inputs is not None and inputs_reference is not None)
            or (bool(response) and prediction is not None and reference is not None),
            self._columns if record.kind == SCORE else None,
        )

    def _body(self, body: bytes, size: int, sha256: bytes) -> tuple[str | None, str | None]:
        """Return the text of a body, and the reference to the whole body if the text is not whole."""
        if not self._protects and not sha256:
            try:
                return body.decode(), None
            except UnicodeDecodeError:
                return None, _reference(hashlib.sha256(body).digest())
        return self._unusual_body(body, size, sha256)

    def _unusual_body(self, body: bytes, size: int, sha256: bytes) -> tuple[str | None, str | None]:
        """Return the text and the reference of a cut or binary body, or of one with fields to protect."""
        if sha256:
            text = None if self._protects or not body else _cut_text(body)
            return text, _reference(sha256)
        if not body:
            return (None if size else ""), None
        try:
            return self._fields.apply(body).decode(), None
        except (NotJsonError, UnicodeDecodeError):
            return None, _reference(hashlib.sha256(body).digest())


def _cut_text(body: bytes) -> str | None:
    """Return the text of a body that is cut at any byte, None if it is no text."""
    for cut in range(_PARTIAL_CHARACTER + 1):
        try:
            return body[: len(body) - cut].decode()
        except UnicodeDecodeError:
            continue
    return None


def _reference(digest: bytes) -> str:
    return f"sha256:{digest.hex()}"
