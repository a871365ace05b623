"""Inline content and data URLs."""

from __future__ import annotations

import pytest
from tests.unit.builder.sources.fetcher import Fetcher, digest_of

from modelyard.contract.errors import (
    DigestMismatchError,
    SourceInvalidError,
    SourceTooLargeError,
)


@pytest.mark.parametrize(
    ("source", "content"),
    [
        ({"content": "def run(x): ...  # é"}, "def run(x): ...  # é".encode()),
        ({"content": ""}, b""),
        ({"url": "data:,a%20b,c"}, b"a b,c"),
        ({"url": "data:text/x-python;base64,aGk="}, b"hi"),
        ({"url": "data:;base64,"}, b""),
        ({"url": "data:;base64,aG\nk=\n"}, b"hi"),
        ({"url": "data:,a\n"}, b"a\n"),
    ],
)
def test_content_of_the_request_is_fetched(fetcher: Fetcher, source: dict[str, str], content: bytes) -> None:
    fetched = fetcher(**source, digest=digest_of(content))
    assert fetched.name == "named"
    assert fetched.path.read_bytes() == content


def test_inline_content_is_limited_and_its_digest_checked(fetcher: Fetcher) -> None:
    with pytest.raises(SourceTooLargeError):
        fetcher(content="12345", limit_bytes=4)
    with pytest.raises(DigestMismatchError):
        fetcher(content="12345", digest=digest_of(b""))


@pytest.mark.parametrize("url", ["data:text/plain", "data:;base64,s3cret!", "data:;base64,YQ"])
def test_malformed_data_url_is_invalid(fetcher: Fetcher, url: str) -> None:
    with pytest.raises(SourceInvalidError, match="data url") as failure:
        fetcher(url=url)
    assert "s3cret" not in str(failure.value)
