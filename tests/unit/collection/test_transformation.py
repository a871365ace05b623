"""From records to rows."""

from __future__ import annotations

import hashlib
import tracemalloc
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.unit.collection.spool_files import record, row_of

from modelyard.collection.fields import ProtectedFields
from modelyard.collection.row import Row
from modelyard.collection.transformation import Transformation
from modelyard.scoring.spool.batch import Entry, encode_piece
from modelyard.scoring.spool.batch_reader import decode_batch
from modelyard.scoring.spool.declared import INPUTS, INTEGER, DeclaredColumn, encode_declared

DIGEST = hashlib.sha256(b"all").digest()
REFERENCE = f"sha256:{DIGEST.hex()}"


def row(*leave_out: str, **fields: object) -> Row:
    return row_of(Transformation(ProtectedFields(leave_out, (), "")), record("r1", **fields))


def test_json_and_text_are_kept_as_they_came() -> None:
    found = row(request=b'{ "a":1 }', response="grün".encode())
    assert (found.inputs, found.prediction) == ('{ "a":1 }', "grün")
    assert (found.inputs_reference, found.prediction_reference, found.truncated) == (None, None, False)


def test_binary_body_is_a_reference_and_a_size() -> None:
    found = row(request=b"", request_bytes=9, request_sha256=DIGEST)
    assert (found.inputs, found.inputs_reference, found.request_bytes) == (None, REFERENCE, 9)
    assert not found.truncated


def test_text_that_is_not_utf_8_is_a_reference() -> None:
    found = row(response=b"\xff\xfe", response_bytes=2)
    assert found.prediction is None
    assert found.prediction_reference == f"sha256:{hashlib.sha256(bytes([255, 254])).hexdigest()}"


@pytest.mark.parametrize("cut", [4, 5, 6])
def test_cut_text_ends_with_a_whole_character(cut: int) -> None:
    found = row(request="grün".encode()[:cut], request_sha256=DIGEST)
    assert found.inputs == "grün".encode()[:cut].decode(errors="ignore")
    assert found.inputs_reference == REFERENCE
    assert found.truncated


def test_cut_response_is_truncated() -> None:
    assert row(response=b"[1,", response_sha256=DIGEST).truncated


@pytest.mark.parametrize(
    "fields",
    [
        {"request": b"ssn=1", "method": "GET"},
        {"request": b'{"ssn":1,"a', "request_sha256": DIGEST},
        {"request": b"\xff{", "request_bytes": 2},
    ],
)
def test_body_whose_fields_cannot_be_found_is_not_kept(fields: dict[str, object]) -> None:
    found = row("ssn", **fields)
    assert found.inputs is None
    assert found.inputs_reference is not None
    assert not found.truncated
    assert found.prediction == "[2]"


def test_protected_field_is_left_out_of_both_bodies() -> None:
    found = row("ssn", request=b'{"ssn":1,"a":2}', response=b'[{"ssn":1}]')
    assert (found.inputs, found.prediction) == ('{"a":2}', "[{}]")


@pytest.mark.parametrize(
    ("body", "media_type"),
    [(b"a\0b", "text/csv"), (b"abc", "image/png"), (b"abc", "Audio/ogg"), (b"", "x" * 1000 + "\u20ac")],
)
def test_binary_body_is_replaced_by_its_digest(body: bytes, media_type: str) -> None:
    found = row(request=body, request_bytes=len(body), request_type=media_type)
    reference = f"sha256:{hashlib.sha256(body).hexdigest()}" if body else None
    assert (found.inputs, found.inputs_reference) == (None if body else "", reference)
    assert (found.request_type, found.truncated) == (media_type, False)


@pytest.mark.parametrize(
    ("leave_out", "beginning", "prediction"),
    [
        ([], "grün".encode()[:3], "gr"),
        ([], b"1\n", "1\n"),
        ([], b"", None),
        ([], b"\0", None),
        (["ssn"], b"1\n", None),
        (["ssn"], b"", None),
    ],
)
def test_beginning_of_a_stream_is_cut_and_has_no_digest(
    leave_out: list[str], beginning: bytes, prediction: str | None
) -> None:
    found = row(*leave_out, response=beginning, response_bytes=10)
    assert (found.prediction, found.prediction_reference) == (prediction, None)
    assert found.truncated is (prediction is not None)


def test_many_media_types_take_little_memory() -> None:
    transformation = Transformation(ProtectedFields((), (), ""))
    records = [record("r1", request_type=f"{number:100}") for number in range(1000)]
    long = [record("r1", request_type=f"{number:10000}") for number in range(400)]
    tracemalloc.start()
    try:
        for one in (*records, *long):
            row_of(transformation, one)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 200_000


def test_last_time_of_a_record_is_a_date() -> None:
    entry = Entry(999_999_999.0, 0.0, 200, 0, 0, 0, "", "a", "", "", "", b"", b"", b"", b"", b"", b"")
    pieces = decode_batch(encode_piece(msgspec.msgpack.encode, 2**63 - 1, [entry]))
    (found,) = Transformation(ProtectedFields((), (), "")).rows(pieces)
    epoch, bound = datetime(1970, 1, 1, tzinfo=UTC), datetime(2300, 1, 1, tzinfo=UTC)
    assert epoch + timedelta(microseconds=found.time_us) < bound


DECLARED = encode_declared([DeclaredColumn(INPUTS, ("data", None, "ssn"), INTEGER)])


def test_scored_request_has_the_declared_columns() -> None:
    transformation = Transformation(ProtectedFields((), (), ""))
    rows = [
        row_of(transformation, record("r1", **fields), declared)
        for declared, fields in [
            (DECLARED, {}),
            (DECLARED, {"kind": "infer"}),
            (DECLARED, {"kind": "driver"}),
            (b"", {}),
            (b"no columns", {}),
            (DECLARED, {"method": "GET"}),
        ]
    ]
    names = [row.columns and row.columns.names for row in rows]
    assert names == [("inputs.data.ssn",), None, None, None, None, ("inputs.data.ssn",)]


def test_declared_column_that_is_left_out_is_none() -> None:
    transformation = Transformation(ProtectedFields(("data.ssn",), (), ""))
    assert row_of(transformation, record("r1"), DECLARED).columns is None
