from __future__ import annotations

import gzip
import hashlib
import os
import random
from pathlib import Path

import pytest

from modelyard.builder.layers import compression
from modelyard.builder.layers.compression import (
    TAR,
    TAR_GZIP,
    Packed,
)
from modelyard.builder.layers.tar_stream import (
    Tar,
    tar_of,
)

MIB = 1024 * 1024
TEXT = b"all work and no play makes jack a dull boy\n" * 100_000
NOISE = random.Random(1).randbytes(4 * MIB)


def _tar(content: bytes) -> Tar:
    return tar_of({"model": content})


def _whole(packed: Packed) -> bytes:
    return b"".join(packed.open(0))


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_text_is_packed() -> None:
    tar = b"".join(_tar(TEXT).open())
    packed = Packed(_tar(TEXT))
    blob = _whole(packed)
    assert gzip.decompress(blob) == tar
    assert len(blob) < len(tar) / 50
    assert packed.media_type == TAR_GZIP
    assert packed.diff_id(_digest(blob)) == _digest(tar)


def test_what_looks_random_is_not() -> None:
    packed = Packed(_tar(NOISE))
    blob = _whole(packed)
    assert blob == b"".join(_tar(NOISE).open())
    assert packed.media_type == TAR
    assert packed.diff_id(_digest(blob)) == _digest(blob)


def test_what_is_small_is_not() -> None:
    packed = Packed(_tar(TEXT[:100_000]))
    assert _whole(packed)
    assert packed.media_type == TAR


def test_samples_are_taken_from_everywhere() -> None:
    """The first file says nothing of the rest."""
    packed = Packed(tar_of({"a": TEXT[:MIB], "b": NOISE}))
    _whole(packed)
    assert packed.media_type == TAR


def test_a_sample_may_be_given() -> None:
    packed = Packed(_tar(NOISE), lambda: TEXT)
    _whole(packed)
    assert packed.media_type == TAR_GZIP


@pytest.mark.parametrize("content", [TEXT, NOISE], ids=["text", "noise"])
def test_it_is_read_from_any_byte_on(content: bytes) -> None:
    packed = Packed(_tar(content))
    whole = _whole(packed)
    for offset in (1, 10, 11, len(whole) // 2, len(whole) - 1, len(whole)):
        assert b"".join(packed.open(offset)) == whole[offset:]
    assert packed.diff_id(_digest(whole)) == _digest(b"".join(_tar(content).open()))


def test_the_bytes_do_not_depend_on_the_number_of_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    first = _whole(Packed(_tar(TEXT)))
    monkeypatch.setattr(compression, "_THREADS", 1)
    assert _whole(Packed(_tar(TEXT))) == first


def test_the_bytes_do_not_depend_on_the_size_of_reads(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(TEXT)
    os.link(tmp_path / "one", tmp_path / "two")
    file = tmp_path / "two"
    assert _whole(Packed(tar_of({"model": file}))) == _whole(Packed(_tar(TEXT)))
