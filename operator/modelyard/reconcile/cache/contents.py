"""The cache of the contents of versions: those that builds have read last."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

import orjson

from modelyard.kube.types import Json

_MAX_BYTES: Final = 16 * 2**20  # about 30 contents of the largest size


class _Entry(NamedTuple):
    """A content and its size in bytes of JSON."""

    content: Json
    size: int


class ContentCache:
    """Contents by their hash, up to a number of bytes of JSON; the least recently used is dropped first."""

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0

    def get(self, content_hash: str) -> Json | None:
        """Return a content, None if it is not cached."""
        entry = self._entries.get(content_hash)
        if entry is None:
            return None
        self._entries.move_to_end(content_hash)
        return entry.content

    def put(self, content_hash: str, content: Json) -> None:
        """Store a content."""
        if content_hash in self._entries:
            self._entries.move_to_end(content_hash)
            return
        self._entries[content_hash] = entry = _Entry(content, len(orjson.dumps(content)))
        self._bytes += entry.size
        while self._bytes > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= oldest.size
