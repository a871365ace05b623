"""The blob of a layer: a plain tar, or gzip if that saves enough.

The weights of a model look random: to compress them takes seconds and saves nothing. The digest of a plain
layer is also its diffID, so that one hash suffices. Packages and text shrink to a third, and save that also
on each node that pulls the image. The format is gzip, because Docker Engine reads zstd since version 23 only.
The bytes depend on the content only, never on the number of processors.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from modelyard.builder.layers.tar_stream import (
    CHUNK_BYTES,
    TarStream,
)
from modelyard.streams.blocks import blocks

TAR: Final = "application/vnd.oci.image.layer.v1.tar"
TAR_GZIP: Final = "application/vnd.oci.image.layer.v1.tar+gzip"

_LEVEL: Final = 1  # zlib level 6 takes six times as long to save another eighth
_MAX_COMPRESSED_FRACTION: Final = 2 / 3
"""Compress a layer if its sample shrinks below this fraction of its size."""
_MIN_COMPRESSED_BYTES: Final = 1024 * 1024
"""Below this size, to send a layer is faster than to compress it."""
_SAMPLES: Final = 16
_SAMPLE_BYTES: Final = 64 * 1024
_GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"  # RFC 1952, without name and time
_LAST_BLOCK: Final = b"\x03\x00"  # RFC 1951, empty
_THREADS: Final = min(4, os.cpu_count() or 1)


class LayerBlob:
    """A ReadableAt over the blob of a layer. The first `open` decides whether it is compressed."""

    def __init__(self, tar: TarStream, sample: Callable[[], bytes] | None = None) -> None:
        """`sample` returns a part of the tar's bytes. By default, sixteen places of the tar are read."""
        self._tar = tar
        self._sample = sample or (lambda: _spread_sample(tar))
        self._is_gzip = False if tar.size < _MIN_COMPRESSED_BYTES else None
        self._tar_hash = hashlib.sha256()

    @property
    def media_type(self) -> str:
        """Return the media type of the layer. Valid after the first `open`."""
        return TAR_GZIP if self._is_gzip else TAR

    @property
    def size(self) -> int | None:
        """Return the number of bytes, None for gzip. Valid after the first `open`."""
        return None if self._is_gzip else self._tar.size

    def diff_id(self, digest: str) -> str:
        """Return the digest of the tar in a blob with the given digest. Valid once the blob is read."""
        return f"sha256:{self._tar_hash.hexdigest()}" if self._is_gzip else digest

    def open(self, offset: int) -> Iterator[bytes]:
        """Return the bytes from `offset` on, in chunks."""
        if self._is_gzip is None:
            self._is_gzip = _is_compressible(self._sample())
        if not self._is_gzip:
            return self._tar.open(offset)
        self._tar_hash = hashlib.sha256()
        return _skip(offset, _gzip(self._hashed_tar()))

    def _hashed_tar(self) -> Iterator[bytes]:
        for chunk in self._tar.open():
            self._tar_hash.update(chunk)
            yield chunk


def _spread_sample(tar: TarStream) -> bytes:
    offsets = range(0, tar.size, max(1, tar.size // _SAMPLES))
    return b"".join(next(tar.open(offset))[:_SAMPLE_BYTES] for offset in offsets)


def _is_compressible(sample: bytes) -> bool:
    return len(zlib.compress(sample, _LEVEL)) < _MAX_COMPRESSED_FRACTION * len(sample)


def _skip(count: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks without their first `count` bytes."""
    for chunk in chunks:
        if count < len(chunk):
            yield chunk[count:]
        count = max(0, count - len(chunk))


def _gzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield one gzip member, whose blocks are compressed independently in parallel threads."""
    yield _GZIP_HEADER
    checksum = size = 0
    pending: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="gzip") as pool:
        for block in blocks(chunks, CHUNK_BYTES):
            checksum = zlib.crc32(block, checksum)
            size += len(block)
            pending.append(pool.submit(_deflate, block))
            if len(pending) > 2 * _THREADS:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    yield _LAST_BLOCK + struct.pack("<II", checksum, size % 2**32)


def _deflate(block: bytes) -> bytes:
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(block) + compressor.flush(zlib.Z_SYNC_FLUSH)
