"""Headers that name content codings, and the unpacking of bodies in steps."""

import gzip
import random
import zlib
from collections.abc import Iterable

import pytest

from modelyard.scoring.front.content_coding import (
    MAX_MEMBERS,
    CodingError,
    Unpacker,
    accepts_gzip,
    read_coding,
)
from modelyard.scoring.front.messages import HttpRequest


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (b"gzip", b"gzip"),
        (b"X-GZip", b"gzip"),
        (b"deflate", b"deflate"),
        (b"identity", b""),
        (b"identity, gzip", b"gzip"),
        (b"", b""),
    ],
)
def test_coding_of_a_request_is_read_from_its_header(header: bytes, coding: bytes) -> None:
    request = HttpRequest(None, 0.0)  # type: ignore[arg-type]
    request.headers[b"content-encoding"] = header
    assert read_coding(request) is None
    assert request.coding == coding


@pytest.mark.parametrize("header", [b"br", b"zstd", b"gzip, gzip", b"compress", b"\xff" * 9999])
def test_unsupported_coding_is_415_with_the_supported_ones(header: bytes) -> None:
    request = HttpRequest(None, 0.0)  # type: ignore[arg-type]
    request.headers[b"content-encoding"] = header
    refusal = read_coding(request)
    assert refusal is not None
    assert refusal.status == 415
    assert len(refusal.body) < 1000
    assert refusal.header_lines == b"accept-encoding: gzip, deflate\r\n"


@pytest.mark.parametrize(
    ("header", "is_gzip"),
    [
        (None, False),
        (b"", False),
        (b"gzip", True),
        (b"x-gzip", True),
        (b"GZIP;Q=0.001", True),
        (b"gzip, deflate, br;q=0.9, zstd", True),
        (b"gzip;q=0", False),
        (b"gzip ; q=0.000", False),
        (b"*", True),
        (b"*;q=0", False),
        (b"*;q=0, gzip", True),
        (b"gzip;q=0, *", False),
        (b"identity", False),
        (b"identity, gzip;q=0.5", False),
        (b"identity;q=0.5, gzip;q=0.8", True),
        (b"gzip;q=high", False),
        (b"br", False),
        (b"gzip," + b"a" * 999, False),
    ],
)
def test_gzip_is_chosen_by_the_weights_of_accept_encoding(header: bytes | None, is_gzip: bool) -> None:
    assert accepts_gzip(header) is is_gzip


def unpacked(coding: bytes, chunks: Iterable[bytes], most: int = 1000) -> bytes:
    unpacker = Unpacker(coding, chunks)
    pieces = list(iter(lambda: unpacker.read(most), b""))
    assert all(len(piece) <= most for piece in pieces)
    assert unpacker.packed_bytes == 0
    return b"".join(pieces)


def split(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


BODY = random.Random(1).randbytes(70_000) + b"0" * 70_000
PACKED = {
    b"gzip": gzip.compress(BODY),
    b"deflate": zlib.compress(BODY),
}


@pytest.mark.parametrize("coding", PACKED)
@pytest.mark.parametrize("size", [1, 7, 65_536, 200_000])
def test_body_is_unpacked_in_bounded_pieces(coding: bytes, size: int) -> None:
    assert unpacked(coding, split(PACKED[coding], size)) == BODY


def test_deflate_without_a_zlib_header_is_unpacked() -> None:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    assert unpacked(b"deflate", [packer.compress(BODY) + packer.flush()]) == BODY


def test_gzip_members_are_joined_and_padding_is_dropped() -> None:
    members = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two") + b"\0" * 600
    for size in (1, 10, 1000):
        assert unpacked(b"gzip", split(members, size)) == b"one two"


@pytest.mark.parametrize("size", range(1, 30))
def test_truncated_body_is_incomplete(size: int) -> None:
    with pytest.raises(CodingError, match="incomplete"):
        unpacked(b"gzip", [gzip.compress(b"hello", mtime=0)[:-1][:size]])


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        (b"gzip", b"plain text"),
        (b"gzip", gzip.compress(b"hello", mtime=0)[:-8] + b"\0" * 8),  # a wrong checksum
        (b"gzip", gzip.compress(b"hello", mtime=0) + b"tail"),
        (b"deflate", zlib.compress(b"hello") + b"tail"),
        (b"deflate", b"\xff\xff"),
        (b"gzip", gzip.compress(b"", mtime=0) * (MAX_MEMBERS + 1)),
    ],
)
def test_malformed_body_is_an_error(coding: bytes, packed: bytes) -> None:
    with pytest.raises(CodingError):
        unpacked(coding, [packed])


def test_output_that_zlib_still_holds_is_not_lost() -> None:
    unpacker = Unpacker(b"gzip", [gzip.compress(b"0" * 1_000_000)])
    assert sum(len(unpacker.read(258)) for _ in range(3877)) == 1_000_000
    assert unpacker.read(258) == b""
