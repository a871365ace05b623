"""Contents of versions, which the cache of ControllerRevisions does not hold."""

from __future__ import annotations

from modelyard.api.record_input import parse_content
from modelyard.api.revision import Revision, content_hash
from modelyard.kube.errors import Conflict
from modelyard.kube.types import REVISIONS, Json
from modelyard.reconcile.context import Context


async def read_content(ctx: Context, revision: Revision) -> Json:
    """Return the content of a version, from the API server unless it was used lately.

    The cache of ControllerRevisions has no contents: 1000 of 500 kB would need the memory limit of the pod.
    The content is validated: a ControllerRevision is input. Raises NotFound if the ControllerRevision was
    deleted, and Conflict if it was created again.
    """
    cached = ctx.cache.contents.get(revision.content_hash)
    if cached is not None:
        return cached
    live = await ctx.client.get(REVISIONS, revision.key.namespace, revision.name)
    data: Json = live.get("data") or {}
    if content_hash(data) != revision.content_hash:
        raise Conflict(f"ControllerRevision {revision.name} was created again with other content")
    content = parse_content(revision.kind, data)
    ctx.cache.contents.put(revision.content_hash, content)
    return content
