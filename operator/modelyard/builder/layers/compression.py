"""How the bytes of a layer travel: as the plain tar, or as gzip where that is worth it.

Weights of a model look random: packing them takes seconds and gives nothing, while a plain layer needs one
hash for its digest and its diffID. Packages and text shrink to a third, saved again on each node that pulls.
gzip and not zstd, which Docker's engine reads since version 23 only. The bytes depend on the content alone,
never on the number of processors.
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
    Tar,
)
from modelyard.streams.blocks import blocks

TAR: Final = "application/vnd.oci.image.layer.v1.tar"
TAR_GZIP: Final = "application/vnd.oci.image.layer.v1.tar+gzip"

_LEVEL: Final = 1  # of zlib: level 6 takes six times as long for an eighth less
_WORTH_IT: Final = 2 / 3
_SMALL_BYTES: Final = 1024 * 1024
"""A smaller layer is gone sooner than it is packed."""
_SAMPLES: Final = 16
_SAMPLE_BYTES: Final = 64 * 1024
_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"  # without name and time: RFC 1952
_END: Final = b"\x03\x00"  # an empty last block: RFC 1951
_THREADS: Final = min(4, os.cpu_count() or 1)


class Packed:
    """The content of a layer, as `RegistryClient.upload` takes it: once whole, and from later bytes on again."""

    def __init__(self, tar: Tar, sample: Callable[[], bytes] | None = None) -> None:
        """`sample` gives some of the tar's bytes; by default they are read from all over it."""
        self._tar = tar
        self._sample = sample or (lambda: _spread(tar))
        self._is_gzip = False if tar.size < _SMALL_BYTES else None
        self._raw = hashlib.sha256()

    @property
    def media_type(self) -> str:
        """Known once it was opened."""
        return TAR_GZIP if self._is_gzip else TAR

    @property
    def size(self) -> int | None:
        """Of the content, None for that of gzip; known once it was opened."""
        return None if self._is_gzip else self._tar.size

    def diff_id(self, digest: str) -> str:
        """The digest of the tar, from that of the layer; known once it was read to its end."""
        return f"sha256:{self._raw.hexdigest()}" if self._is_gzip else digest

    def open(self, offset: int) -> Iterator[bytes]:
        """The bytes from `offset` on."""
        if self._is_gzip is None:
            self._is_gzip = _shrinks(self._sample())
        if not self._is_gzip:
            return self._tar.open(offset)
        self._raw = hashlib.sha256()
        return _from(offset, _gzip(self._hashed()))

    def _hashed(self) -> Iterator[bytes]:
        for chunk in self._tar.open():
            self._raw.update(chunk)
            yield chunk


def _spread(tar: Tar) -> bytes:
    places = range(0, tar.size, max(1, tar.size // _SAMPLES))
    return b"".join(next(tar.open(place))[:_SAMPLE_BYTES] for place in places)


def _shrinks(sample: bytes) -> bool:
    return len(zlib.compress(sample, _LEVEL)) < _WORTH_IT * len(sample)


def _from(offset: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if offset < len(chunk):
            yield chunk[offset:]
        offset = max(0, offset - len(chunk))


def _gzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """One gzip file of blocks that are packed side by side, each on its own."""
    yield _HEADER
    checksum = size = 0
    packing: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="gzip") as pool:
        for block in blocks(chunks, CHUNK_BYTES):
            checksum = zlib.crc32(block, checksum)
            size += len(block)
            packing.append(pool.submit(_deflated, block))
            if len(packing) > 2 * _THREADS:
                yield packing.popleft().result()
        while packing:
            yield packing.popleft().result()
    yield _END + struct.pack("<II", checksum, size % 2**32)


def _deflated(block: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(block) + packer.flush(zlib.Z_SYNC_FLUSH)
