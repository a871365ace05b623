"""The bytes of a record and of the sums, also those that a driver makes up."""

from __future__ import annotations

import random

import pytest
from tests.unit.scoring.spool.spool_samples import record

from modelyard.scoring.spool.counts import Counts, CountsError, decode_counts, encode_counts
from modelyard.scoring.spool.record import DRIVER, Record, RecordError, decode_record, encode_record


def test_record_has_the_same_fields_after_a_round_trip() -> None:
    before = record("ä€", b"\0\xff{}", b"")._replace(request_sha256=b"\0" * 32, kind=DRIVER, status=0)
    assert decode_record(encode_record(before)) == before


def test_digest_of_the_response_alone_stays_that_of_the_response() -> None:
    before = record()._replace(response_sha256=bytes(range(32)))
    assert decode_record(encode_record(before)).response_sha256 == bytes(range(32))


@pytest.mark.parametrize(("text", "kept"), [("a\0b", "a b"), ("a\udc80b", "a?b"), ("", "")])
def test_text_that_cannot_be_written_is_changed(text: str, kept: str) -> None:
    assert decode_record(encode_record(record()._replace(name=text))).name == kept


def test_each_shortened_record_is_refused() -> None:
    payload = encode_record(record())
    for size in range(len(payload)):
        with pytest.raises(RecordError):
            decode_record(payload[:size])


def test_changed_bytes_are_a_record_or_refused() -> None:
    random.seed(7)
    payload = encode_record(record()._replace(request_sha256=b"x" * 32))
    outcomes = set()
    for _ in range(5000):
        changed = bytearray(payload)
        for _ in range(random.randint(1, 3)):
            changed[random.randrange(len(changed))] = random.randrange(256)
        try:
            outcomes.add(type(decode_record(bytes(changed))))
        except RecordError:
            outcomes.add(RecordError)
    assert outcomes == {Record, RecordError}


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
