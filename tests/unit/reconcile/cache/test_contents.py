"""The bounded cache of contents."""

from __future__ import annotations

import orjson

from modelyard.reconcile.cache.contents import ContentCache

CONTENT = {"url": "x" * 30}
SIZE = len(orjson.dumps(CONTENT))


def test_least_recently_used_content_is_dropped_beyond_the_limit() -> None:
    cache = ContentCache(max_bytes=2 * SIZE)
    cache.put("a", CONTENT)
    cache.put("b", CONTENT)
    assert cache.get("a") == CONTENT
    cache.put("a", CONTENT)
    cache.put("c", CONTENT)
    assert [cache.get(name) is not None for name in "abc"] == [True, False, True]


def test_content_above_the_limit_is_not_cached() -> None:
    cache = ContentCache(max_bytes=SIZE - 1)
    cache.put("a", CONTENT)
    assert cache.get("a") is None
    cache.put("b", {})
    assert cache.get("b") == {}
