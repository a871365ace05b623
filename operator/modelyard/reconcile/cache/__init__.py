"""The operator's cache of the cluster, in memory: custom resources, revisions, children and build Jobs.

Watches fill the cache, and each write stores its response. An older event that arrives later is ignored, by
its resource version. The cache is the only shared state of the process; only code on the event loop may touch
it.
"""

from __future__ import annotations

from modelyard.reconcile.cache.build_jobs import BuildJobCache
from modelyard.reconcile.cache.children import ChildCache
from modelyard.reconcile.cache.contents import ContentCache
from modelyard.reconcile.cache.objects import ObjectCache
from modelyard.reconcile.cache.pending_writes import PendingWrites
from modelyard.reconcile.cache.presence import PresenceLooks
from modelyard.reconcile.cache.revisions import RevisionCache


class Cache:
    """One cache per kind of thing, and the writes that are in flight."""

    def __init__(self) -> None:
        self.pending_writes = PendingWrites()
        self.objects = ObjectCache(self.pending_writes)
        self.revisions = RevisionCache(self.objects)
        self.contents = ContentCache()
        self.children = ChildCache(self.pending_writes)
        self.build_jobs = BuildJobCache()
        self.presence = PresenceLooks()
