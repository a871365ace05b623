"""Range requests and their responses."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from modelyard.streams.range_stream import (
    RangeStream,
    WrongRangeError,
    range_header,
    range_stream,
)

KIB = 1024


class BrokenStream(httpx.SyncByteStream):
    """A body whose connection breaks after its pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        raise httpx.ReadError("reset")


@pytest.mark.parametrize("length", ["9" * 5000, "9" * 19, "-5", "\u0663", "5, 5", "0x5", ""])
def test_invalid_content_length_is_an_error(length: str) -> None:
    response = httpx.Response(200, headers=[(b"Content-Length", length.encode())], content=b"")
    with pytest.raises(WrongRangeError, match="invalid Content-Length"):
        range_stream(response, 0)


@pytest.mark.parametrize("range_", ["0-1/" + "9" * 5000, "9" * 5000 + "-1/5", "0-1/5x", "0-1/\u0663"])
def test_invalid_content_range_is_an_error(range_: str) -> None:
    response = httpx.Response(206, headers=[(b"Content-Range", b"bytes " + range_.encode())])
    with pytest.raises(WrongRangeError):
        range_stream(response, 0)


@pytest.mark.parametrize(
    ("offset", "size", "headers"),
    [(0, None, {}), (0, 10, {}), (3, None, {"Range": "bytes=3-"}), (3, 10, {"Range": "bytes=3-9"})],
)
def test_range_header_names_the_last_byte_if_the_size_is_known(
    offset: int, size: int | None, headers: dict[str, str]
) -> None:
    assert range_header(offset, size) == headers


@pytest.mark.parametrize(("total", "size"), [("10", 10), ("*", None)])
def test_partial_response_begins_at_the_offset(total: str, size: int | None) -> None:
    response = httpx.Response(
        206, stream=httpx.ByteStream(b"defghij"), headers={"Content-Range": f"bytes 3-9/{total}"}
    )
    stream = range_stream(response, 3)
    assert (stream.start, stream.size) == (3, size)
    assert b"".join(stream.rest(3)) == b"defghij"


def test_full_response_to_a_range_request_begins_at_zero() -> None:
    response = httpx.Response(200, stream=httpx.ByteStream(b"abcdefghij"), headers={"Content-Length": "10"})
    stream = range_stream(response, 3)
    assert (stream.start, stream.size) == (0, 10)
    assert b"".join(stream.rest(3)) == b"defghij"


@pytest.mark.parametrize("content_range", ["bytes 4-9/10", "", "items 3-9/10"])
def test_response_with_another_range_is_an_error(content_range: str) -> None:
    with pytest.raises(WrongRangeError):
        range_stream(httpx.Response(206, content=b"x", headers={"Content-Range": content_range}), 3)


@pytest.mark.parametrize("offset", range(8))
def test_rest_drops_the_bytes_before_the_offset(offset: int) -> None:
    stream = RangeStream(0, 7, iter([b"abc", b"de", b"fg"]))
    assert b"".join(stream.rest(offset)) == b"abcdefg"[offset:]


def test_small_pieces_are_joined_and_large_pieces_are_not_copied() -> None:
    large = bytes(512 * KIB)

    def pieces() -> Iterator[bytes]:
        yield from (large, b"a", b"b")

    chunks = list(range_stream(httpx.Response(200, content=pieces()), 0).chunks)
    assert chunks == [large, b"ab"]
    assert chunks[0] is large


def test_joined_pieces_are_yielded_before_the_error_of_a_broken_connection() -> None:
    stream = range_stream(httpx.Response(200, stream=BrokenStream(b"a", b"b")), 0)
    seen: list[bytes] = []
    with pytest.raises(httpx.ReadError):
        seen.extend(iter(stream.chunks))
    assert seen == [b"ab"]
