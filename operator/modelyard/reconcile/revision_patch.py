"""Changes of the metadata of ControllerRevisions, also of those that no patch can change."""

from __future__ import annotations

import orjson

from modelyard.kube.errors import Immutable
from modelyard.kube.merge import apply_merge_patch
from modelyard.kube.types import REVISIONS, Json
from modelyard.reconcile.context import Context


async def patch_revision(ctx: Context, namespace: str, name: str, patch: Json) -> Json:
    """Apply a JSON merge patch to the metadata of a ControllerRevision; return its metadata.

    Releases up to 0.2.0 created ControllerRevisions in a form that no patch can keep. Such a one is replaced,
    with its data in the same bytes as at its creation.
    Raises Conflict if the patch has a resourceVersion that is not the current one, or the ControllerRevision
    changes between the read and the replacement.
    """
    try:
        return await ctx.client.patch(REVISIONS, namespace, name, patch)
    except Immutable:
        live = await ctx.client.get(REVISIONS, namespace, name)
    return await ctx.client.update(
        REVISIONS, namespace, name, apply_merge_patch(live, patch), encode=orjson.dumps
    )
