"""The parts of bodies that records keep, and the share of the requests."""

from __future__ import annotations

import hashlib
import uuid

import pytest

from modelyard.scoring.spool.bodies import kept_body
from modelyard.scoring.spool.sampling import is_sample

LIMIT = 8


@pytest.mark.parametrize(
    ("body", "media_type", "kept"),
    [
        (b"", "application/json", b""),
        (b"12345678", "application/json", b"12345678"),
        (b"123456789", "application/json", b"12345678"),
        ("1234567ä".encode(), "application/json", b"1234567"),
        ("123456ä9".encode(), "text/plain", "123456ä".encode()),
        ("ä".encode(), "", "ä".encode()),
        (b"a\0b", "application/json", b""),
        (b"\xff\xfe", "text/csv", b""),
        (b"abc", "image/png", b""),
        (b"abc", "Application/Octet-Stream", b""),
    ],
)
def test_text_is_kept_up_to_the_limit_and_binary_data_is_not(
    body: bytes, media_type: str, kept: bytes
) -> None:
    digest = b"" if kept == body else hashlib.sha256(body).digest()
    assert kept_body(body, media_type, LIMIT, len(body)) == (kept, digest)


@pytest.mark.parametrize("ids", ["numbers", "uuids"])
def test_share_of_the_samples_is_the_percentage(ids: str) -> None:
    names = [str(n) if ids == "numbers" else str(uuid.UUID(int=n * 2**90, version=4)) for n in range(20_000)]
    for percent in (1, 10, 50):
        assert sum(is_sample(name, percent) for name in names) == pytest.approx(200 * percent, rel=0.2)
    assert all(is_sample(name, 100) for name in names)


def test_request_id_that_is_no_text_has_a_decision() -> None:
    assert is_sample("\udc80", 50) in (True, False)
