"""The blob of a layer: gzip or plain tar."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
from pathlib import Path

import pytest

from modelyard.builder.layers import layer_blob
from modelyard.builder.layers.layer_blob import (
    TAR,
    TAR_GZIP,
    LayerBlob,
)
from modelyard.builder.layers.tar_stream import (
    TarStream,
    tar_of,
)

MIB = 1024 * 1024
TEXT = b"all work and no play makes jack a dull boy\n" * 100_000
NOISE = random.Random(1).randbytes(4 * MIB)


def _tar(content: bytes) -> TarStream:
    return tar_of({"model": content})


def _read(blob: LayerBlob) -> bytes:
    return b"".join(blob.open(0))


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_text_is_compressed() -> None:
    tar = b"".join(_tar(TEXT).open())
    layer = LayerBlob(_tar(TEXT))
    blob = _read(layer)
    assert gzip.decompress(blob) == tar
    assert len(blob) < len(tar) / 50
    assert layer.media_type == TAR_GZIP
    assert layer.diff_id(_digest(blob)) == _digest(tar)


def test_random_bytes_are_not_compressed() -> None:
    layer = LayerBlob(_tar(NOISE))
    blob = _read(layer)
    assert blob == b"".join(_tar(NOISE).open())
    assert layer.media_type == TAR
    assert layer.diff_id(_digest(blob)) == _digest(blob)


def test_small_tar_is_not_compressed() -> None:
    layer = LayerBlob(_tar(TEXT[:100_000]))
    assert _read(layer)
    assert layer.media_type == TAR


def test_sample_covers_the_whole_tar() -> None:
    """The first file is compressible, the rest is not."""
    layer = LayerBlob(tar_of({"a": TEXT[:MIB], "b": NOISE}))
    _read(layer)
    assert layer.media_type == TAR


def test_caller_can_provide_the_sample() -> None:
    layer = LayerBlob(_tar(NOISE), lambda: TEXT)
    _read(layer)
    assert layer.media_type == TAR_GZIP


@pytest.mark.parametrize("content", [TEXT, NOISE], ids=["text", "noise"])
def test_blob_can_be_read_from_any_offset(content: bytes) -> None:
    layer = LayerBlob(_tar(content))
    whole = _read(layer)
    for offset in (1, 10, 11, len(whole) // 2, len(whole) - 1, len(whole)):
        assert b"".join(layer.open(offset)) == whole[offset:]
    assert layer.diff_id(_digest(whole)) == _digest(b"".join(_tar(content).open()))


def test_gzip_bytes_do_not_depend_on_the_number_of_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    first = _read(LayerBlob(_tar(TEXT)))
    monkeypatch.setattr(layer_blob, "_THREADS", 1)
    assert _read(LayerBlob(_tar(TEXT))) == first


def test_gzip_bytes_do_not_depend_on_the_size_of_reads(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(TEXT)
    os.link(tmp_path / "one", tmp_path / "two")
    file = tmp_path / "two"
    assert _read(LayerBlob(tar_of({"model": file}))) == _read(LayerBlob(_tar(TEXT)))
