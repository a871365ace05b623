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
        (
            time_ns, name, request_id, correlation_id, trace_id, method, kind, status, duration_us,
            request_type, response_type, request_bytes, response_bytes, request, response,
            request_sha256, response_sha256,
        ) = record  # fmt: skip
        inputs, inputs_reference = self._body(request, request_bytes, request_sha256)
        prediction, reference = self._body(response, response_bytes, response_sha256)
        time_us = time_ns // 1000
        return Row(
            time_us if time_us < _MAX_TIME_US else _MAX_TIME_US,
            request_id,
            correlation_id,
            trace_id or None,
            name,
            method,
            kind,
            status,
            duration_us / 1e6,
            request_type or None,
            response_type or None,
            request_bytes if request_bytes < _MAX_INTEGER else _MAX_INTEGER,
            response_bytes if response_bytes < _MAX_INTEGER else _MAX_INTEGER,
            inputs,
            prediction,
            inputs_reference,
            reference,
            (bool(request) and inputs is not None and inputs_reference is not None)
            or (bool(response) and prediction is not None and reference is not None),
            self._columns if kind == SCORE else None,
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
