"""The bytes of a record and of the sums, also those that a driver makes up."""

from __future__ import annotations

import random

import pytest
from tests.unit.scoring.spool.spool_samples import record

from modelyard.scoring.spool import batch
from modelyard.scoring.spool.batch import MAX_RECORDS, BatchError, decode_batch, encode_records
from modelyard.scoring.spool.counts import Counts, CountsError, decode_counts, encode_counts
from modelyard.scoring.spool.record import DRIVER

DIGEST = bytes(range(32))


def test_records_have_the_same_fields_after_a_round_trip() -> None:
    before = [
        record("ä€", b"\0\xff{}", b"")._replace(request_sha256=b"\0" * 32, kind=DRIVER, status=0),
        record("b")._replace(name="model-1", correlation_id="c", trace_id="", duration_us=3_600_000_123),
        record("d")._replace(response_sha256=DIGEST, request=b"", time_ns=2**62 - 2**62 % 1000),
    ]
    assert decode_batch(encode_records(before)) == before


def test_empty_name_and_correlation_id_have_their_defaults() -> None:
    (after,) = decode_batch(encode_records([record("a")._replace(name="", correlation_id="")]))
    assert (after.name, after.correlation_id) == ("scoring", "a")


@pytest.mark.parametrize(("text", "kept"), [("a\0b", "a b"), ("a\udc80b", "a?b"), ("", "")])
def test_text_that_cannot_be_written_is_changed(text: str, kept: str) -> None:
    before = [record(), record()._replace(method=text), record()]
    assert [one.method for one in decode_batch(encode_records(before))] == ["POST", kept, "POST"]


def test_each_shortened_batch_is_refused() -> None:
    payload = encode_records([record("a"), record("b")])
    for size in range(len(payload)):
        with pytest.raises(BatchError):
            decode_batch(payload[:size])


def test_changed_bytes_are_records_or_refused() -> None:
    random.seed(7)
    payload = encode_records([record()._replace(request_sha256=DIGEST), record("b")])
    outcomes = set()
    for _ in range(5000):
        changed = bytearray(payload)
        for _ in range(random.randint(1, 3)):
            changed[random.randrange(len(changed))] = random.randrange(256)
        try:
            outcomes.add(len(decode_batch(bytes(changed))))
        except BatchError:
            outcomes.add(0)
    assert outcomes == {0, 2}


def test_more_records_than_the_limit_are_refused() -> None:
    with pytest.raises(BatchError, match=f"from 1 to {MAX_RECORDS} records, not {MAX_RECORDS + 1}"):
        decode_batch(encode_records([record()] * (MAX_RECORDS + 1)))


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0, 1e300])
def test_duration_that_is_no_time_is_refused(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = batch.encode_columns
    monkeypatch.setattr(batch, "encode_columns", lambda columns: encode(columns._replace(seconds=[seconds])))
    with pytest.raises(BatchError, match="seconds"):
        decode_batch(encode_records([record()]))


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
