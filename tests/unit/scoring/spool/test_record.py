"""The bytes of a record and of the sums, also those that a driver makes up."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from tests.support.spool import decode_records, encode_records
from tests.unit.scoring.spool.spool_samples import record

from modelyard.scoring.spool.batch import LENGTH, MAX_RECORDS, BatchError, Entry, encode_piece
from modelyard.scoring.spool.counts import Counts, CountsError, decode_counts, encode_counts
from modelyard.scoring.spool.record import DRIVER

DIGEST = bytes(range(32))


def test_records_have_the_same_fields_after_a_round_trip() -> None:
    before = [
        record("ä€", b"\0\xff{}", b"")._replace(request_sha256=b"\0" * 32, kind=DRIVER, status=0),
        record("b")._replace(name="model-1", correlation_id="c", trace_id="", duration_us=3_600_000_123),
        record("d")._replace(response_sha256=DIGEST, request=b"", time_ns=2**62 - 2**62 % 1000),
    ]
    assert decode_records(encode_records(before)) == before


def test_empty_name_and_correlation_id_have_their_defaults() -> None:
    (after,) = decode_records(encode_records([record("a")._replace(name="", correlation_id="")]))
    assert (after.name, after.correlation_id) == ("scoring", "a")


@pytest.mark.parametrize(("text", "kept"), [("a\0b", "a b"), ("a\udc80b", "a?b"), ("", "")])
def test_text_that_cannot_be_written_is_changed(text: str, kept: str) -> None:
    before = [record(), record()._replace(method=text), record()]
    assert [one.method for one in decode_records(encode_records(before))] == ["POST", kept, "POST"]


def test_each_shortened_batch_is_refused() -> None:
    payload = encode_records([record("a")])
    for size in range(len(payload)):
        with pytest.raises(BatchError):
            decode_records(payload[:size])


def test_changed_bytes_are_records_or_refused() -> None:
    random.seed(7)
    payload = encode_records([record()._replace(request_sha256=DIGEST), record("b")])
    outcomes = set()
    for _ in range(5000):
        changed = bytearray(payload)
        for _ in range(random.randint(1, 3)):
            changed[random.randrange(len(changed))] = random.randrange(256)
        try:
            outcomes.add(len(decode_records(bytes(changed))))
        except BatchError:
            outcomes.add(0)
    assert outcomes == {0, 2}


def test_more_records_than_the_limit_are_refused() -> None:
    with pytest.raises(BatchError, match=f"a frame has at most {MAX_RECORDS} records"):
        decode_records(encode_records([record()] * (MAX_RECORDS + 1)))
    with pytest.raises(BatchError, match=f"length <= {MAX_RECORDS}"):
        decode_records(piece(*[entry()] * (MAX_RECORDS + 1)))


def entry(**values: Any) -> tuple[Any, ...]:
    """Return the values of a record with changes."""
    usual = Entry(
        12.5, 0.25, 200, 0, 3, 1, "", "a", "", "", "POST", b"text/csv", b"", b"1,2", b"3", b"", b""
    )  # fmt: skip
    return tuple(usual._replace(**values))


def piece(*entries: tuple[Any, ...], shift_ns: int = 10**18) -> bytes:
    return encode_piece(msgspec.msgpack.encode, shift_ns, entries)


def test_entries_of_the_front_become_records() -> None:
    first, second = decode_records(piece(entry(), entry(request_id="b", kind=1)))
    assert (first.time_ns, first.duration_us, first.kind) == (10**18 + 12_500_000_000, 250_000, "score")
    assert (first.name, first.correlation_id, first.request_type) == ("scoring", "a", "text/csv")
    assert (second.request_id, second.kind) == ("b", "infer")


@pytest.mark.parametrize(
    "values",
    [
        {"seconds": float("nan")},
        {"seconds": float("inf")},
        {"seconds": -1.0},
        {"arrived": 1e300},
        {"arrived": -1.0},
        {"kind": 3},
        {"status": 65_536},
        {"status": -1},
        {"request_bytes": 2**63},
        {"response_bytes": -1},
        {"request_id": b"a"},
        {"request": "text"},
        {"request_sha256": b"short"},
        {"response_sha256": b"x" * 33},
    ],
    ids=str,
)
def test_value_out_of_its_range_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(BatchError):
        decode_records(piece(entry(**values)))


@pytest.mark.parametrize(
    "payload",
    [b"", b"\0\0\0", b"\0\0\0\0", b"\xff\xff\xff\xff", LENGTH.pack(100_000) + b"\x91" * 100_000, piece()],
    ids=["empty", "short", "no array", "long", "deep", "no entry"],
)
def test_bytes_that_are_no_pieces_are_refused(payload: bytes) -> None:
    with pytest.raises(BatchError):
        decode_records(payload)


def test_time_before_the_epoch_is_refused() -> None:
    with pytest.raises(BatchError):
        decode_records(piece(entry(), shift_ns=-1))


def test_counts_are_the_same_after_a_round_trip() -> None:
    counts = Counts(6, 3, 1, {"spool_full": 2})
    assert decode_counts(encode_counts(counts)) == counts


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[]",
        b"[1, 2, 3, {}]",
        b'{"answered": 1}',
        b'{"answered": 1, "collected": 1, "sampled_out": 0, "dropped": []}',
        b'{"answered": -1, "collected": 1, "sampled_out": 0, "dropped": {}}',
        b'{"answered": 1.5, "collected": 1, "sampled_out": 0, "dropped": {}}',
        b'{"answered": true, "collected": 1, "sampled_out": 0, "dropped": {}}',
        b'{"answered": 1, "collected": 1, "sampled_out": 0, "dropped": {}, "more": 1}',
        b'{"answered": 1, "collected": 1, "sampled_out": 0, "dropped": {"A reason": 1}}',
        b'{"answered": 1, "collected": 9223372036854775808, "sampled_out": 0, "dropped": {}}',
        b'{"answered": 1, "collected": 1, "sampled_out": 0, "dropped": {"a": NaN}}',
        b"[" * 100_000,
        b'{"answered": ' + b"9" * 5000 + b"}",
    ],
)
def test_invalid_counts_are_refused(payload: bytes) -> None:
    with pytest.raises(CountsError):
        decode_counts(payload)
