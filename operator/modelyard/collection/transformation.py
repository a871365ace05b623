"""From records of the spool to rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from modelyard.collection.columns import Columns
from modelyard.collection.fields import NotJsonError, ProtectedFields
from modelyard.collection.row import Row
from modelyard.scoring.spool.batch import KINDS
from modelyard.scoring.spool.batch_reader import Piece
from modelyard.scoring.spool.bodies import is_binary_type, kept_body
from modelyard.scoring.spool.declared import decode_declared
from modelyard.scoring.spool.record import SCORE, SCORING

_PARTIAL_CHARACTER: Final = 3
"""Bytes at the end of a cut text that may be the beginning of a character of UTF-8."""
_MEDIA_TYPES: Final = 256
_MEDIA_TYPE_BYTES: Final = 256

_Kept = tuple[str | None, str | None, bool]
"""The text, the reference to the whole body, and whether the text is the beginning of a larger body."""


class Transformation:
    """Makes rows of records. It keeps no field that must not be kept."""

    def __init__(self, fields: ProtectedFields) -> None:
        """`fields` are left out or hashed in the bodies of requests and responses."""
        self._fields = fields
        self._protects = bool(fields)
        self._media_types = _MediaTypes()
        self._declared = b""
        self._columns: Columns | None = None

    def rows(self, pieces: Iterable[Piece], declared: bytes = b"") -> Iterator[Row]:
        """Yield the rows of records. `declared` are their declared columns, see spool.declared."""
        if declared != self._declared:
            self._declared = declared
            columns = Columns(decode_declared(declared), self._fields)
            self._columns = columns if columns.names else None
        media_types, body_of, scored_columns = self._media_types, self._body, self._columns
        for shift_ns, entries in pieces:
            for (
                arrived, seconds, status, kind, request_bytes, response_bytes,
                name, request_id, correlation_id, trace_id, method, request_type, response_type,
                request, response, request_sha256, response_sha256,
            ) in entries:  # fmt: skip
                inputs_type, prediction_type = media_types[request_type], media_types[response_type]
                inputs, inputs_reference, is_inputs_cut = body_of(
                    request, inputs_type, request_bytes, request_sha256
                )
                prediction, reference, is_prediction_cut = body_of(
                    response, prediction_type, response_bytes, response_sha256
                )
                operation = KINDS[kind]
                yield Row(
                    (shift_ns + int(arrived * 1e9)) // 1000,
                    request_id,
                    correlation_id or request_id,
                    trace_id or None,
                    name or SCORING,
                    method,
                    operation,
                    status,
                    round(seconds * 1e6) / 1e6,
                    inputs_type.text,
                    prediction_type.text,
                    request_bytes,
                    response_bytes,
                    inputs,
                    prediction,
                    inputs_reference,
                    reference,
                    is_inputs_cut or is_prediction_cut,
                    scored_columns if operation == SCORE else None,
                )

    def _body(self, body: bytes, media_type: _MediaType, size: int, sha256: bytes) -> _Kept:
        """Return the text of a body, and the reference to the whole body if the text is not whole."""
        if len(body) == size and not self._protects and not sha256 and not media_type.is_binary:
            try:
                text = body.decode()
            except UnicodeDecodeError:
                pass
            else:
                if "\0" not in text:
                    return text, None, False
        return self._unusual_body(body, media_type, size, sha256)

    def _unusual_body(self, body: bytes, media_type: _MediaType, size: int, sha256: bytes) -> _Kept:
        """Return the text and the reference of a cut or binary body, or of one with fields to protect."""
        kept = body
        if not sha256:
            kept, sha256 = kept_body(body, media_type.text or "", len(body), size)
        if sha256:
            text = None if self._protects or not kept else _cut_text(kept)
            return text, _reference(sha256), bool(text)
        if len(body) != size:  # the beginning of a stream, which has no digest
            text = None if self._protects or not kept else kept.decode()
            return text, None, bool(text)
        try:
            return self._fields.apply(kept).decode() if kept else "", None, False
        except (NotJsonError, UnicodeDecodeError):
            return None, _reference(hashlib.sha256(kept).digest()), False


class _MediaType(NamedTuple):
    text: str | None
    is_binary: bool


class _MediaTypes(dict[bytes, _MediaType]):
    """The media types of some rows. It keeps few and short ones, since a driver can write any."""

    def __missing__(self, raw: bytes) -> _MediaType:
        text = raw.decode("utf-8", "replace")
        media_type = _MediaType(text or None, is_binary_type(text))
        if len(self) < _MEDIA_TYPES and len(raw) <= _MEDIA_TYPE_BYTES:
            self[raw] = media_type
        return media_type


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
