"""The head of a request: its end at each split, hostile heads, and the Connection header."""

import pytest

from modelyard.activator.request_head import MAX_HEAD_BYTES, HeadError, HeadReader, is_bodiless, with_close

HEAD = b"POST /score?q=1 HTTP/1.1\r\nHost: m\r\nX-Empty:\r\nContent-Length: 3\r\n\r\n"


@pytest.mark.parametrize("place", range(1, len(HEAD) + 3))
def test_head_is_found_at_each_split(place: int) -> None:
    data = HEAD + b"abc"
    reader = HeadReader()
    found = reader.feed(data[:place]) or reader.feed(data[place:])
    assert found is not None
    head, rest = found
    assert head == HEAD
    assert (rest + data[place:] if place >= len(HEAD) else rest) == b"abc"


def test_head_is_found_byte_by_byte() -> None:
    reader = HeadReader()
    assert all(reader.feed(bytes([byte])) is None for byte in HEAD[:-1])
    assert reader.feed(HEAD[-1:]) == (HEAD, b"")


def test_empty_lines_before_the_request_line_are_dropped() -> None:
    assert HeadReader().feed(b"\r\n\r\n" + HEAD) == (HEAD, b"")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\nHost: m\n\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: m\rX: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: m\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: m\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length : 3\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1 x\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * MAX_HEAD_BYTES, 431),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n", 431),
    ],
)
def test_hostile_head_is_refused(head: bytes, status: int) -> None:
    with pytest.raises(HeadError) as caught:
        HeadReader().feed(head)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (b"Host: m", b"Host: m\r\nConnection: close"),
        (b"Connection: keep-alive\r\nHost: m", b"Connection: close\r\nHost: m"),
        (
            b"Host: m\r\ncOnNection:x, upgrade\r\nA: b\r\nCONNECTION: y",
            b"Host: m\r\nConnection: close\r\nA: b",
        ),
        (b"Proxy-Connection: keep-alive", b"Proxy-Connection: keep-alive\r\nConnection: close"),
    ],
)
def test_connection_header_becomes_close(lines: bytes, expected: bytes) -> None:
    first = b"GET / HTTP/1.1\r\n"
    assert with_close(first + lines + b"\r\n\r\n") == first + expected + b"\r\n\r\n"


def test_all_other_bytes_stay() -> None:
    odd = (
        b"GET /%20?\xc3\xa4 HTTP/1.0\r\nX-Odd:\t a  \r\nX: \xff\r\nTransfer-Encoding: x\r\nContent-Length: 1"
    )
    assert with_close(odd + b"\r\n\r\n") == odd + b"\r\nConnection: close\r\n\r\n"


def test_head_method_has_no_body() -> None:
    assert is_bodiless(b"HEAD / HTTP/1.1\r\n\r\n")
    assert not is_bodiless(HEAD)
