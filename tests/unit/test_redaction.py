"""Removal of credentials from URLs."""

from __future__ import annotations

import time

import pytest

from modelyard.redaction import redact, redact_text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://store.example/a/model.pkl?sig=s3cret&se=2030", "https://store.example/a/model.pkl?…"),
        ("https://user:s3cret@store.example:8443/m", "https://store.example:8443/m"),
        ("https://us@er:s3cret@store.example/m#s3cret", "https://store.example/m"),
        ("s3://bucket/key", "s3://bucket/key"),
        ("data:text/plain;base64,czNjcmV0", "data:…"),
        ("DATA:,s3cret", "data:…"),
        ("https://[s3cret", "(an unreadable url)"),
        ("https://user:s3cret/x@store.example/m", "(an unreadable url)"),
        ("https://user:s3cret?x@store.example/m", "(an unreadable url)"),
        ("https://archive.example/1/https://user:s3cret@store.example/m", "https://archive.example/1/…"),
        (
            "https://archive.example/1//user:s3cret@store.example/m",
            "https://archive.example/1//…@store.example/m",
        ),
        ("https://[::1]:8443/a:1/b@sha256:00", "https://[::1]:8443/a:1/b@sha256:00"),
        ("oci://h:5000/a:1", "oci://h:5000/a:1"),
    ],
)
def test_redact_leaves_nothing_that_could_be_a_credential(url: str, shown: str) -> None:
    assert redact(url) == shown
    assert "s3cret" not in redact_text(f"could not open '{url}', sorry")


@pytest.mark.parametrize(
    "before",
    ["", "(", "git+", "x.", "-", "a" * 50 + ".", "A" * 100, "a." * 100, "1", "\u00e4"],
)
def test_redact_text_finds_a_url_after_any_text(before: str) -> None:
    assert "s3cret" not in redact_text(f"{before}https://user:s3cret@host/m?sig=s3cret")


def test_redact_text_finds_a_url_whose_scheme_is_long() -> None:
    assert "s3cret" not in redact_text(f"x{'9' * 50}://user:s3cret@host/m?sig=s3cret")


@pytest.mark.parametrize("piece", ["a.", "a", "a-", "a://", "a://[ ", "data:", "data: ", "://", "1"])
def test_redaction_of_a_long_text_takes_linear_time(piece: str) -> None:
    """Quadratic time would be minutes."""
    started = time.process_time()
    redact_text(piece * 200_000)
    assert time.process_time() - started < 10


def test_redact_text_keeps_other_text() -> None:
    line = "Looking in indexes: https://me:s3cret@pypi.example/simple, https://two.example/simple"
    assert redact_text(line) == "Looking in indexes: https://pypi.example/simple, https://two.example/simple"
