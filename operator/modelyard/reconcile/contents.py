"""Contents of versions, which the cache of ControllerRevisions does not hold."""

from __future__ import annotations

from modelyard.api.names import REGISTRATION
from modelyard.api.record_input import parse_content
from modelyard.api.revision import Revision, content_hash, references_in
from modelyard.api.status import State
from modelyard.kube.errors import Conflict
from modelyard.kube.types import REVISIONS, Json
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject


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


async def has_content(ctx: Context, obj: CustomObject, newest: Revision, content: Json) -> bool:
    """Return True if the newest version of an object records a content.

    A version leaves out the defaults of the release that recorded it. So after a change of a default, or of
    the form of a value, the same content has another hash. A version of another hash is read and compared by
    the types of this release. The cached version remembers the hash that counts as equal.
    Raises NotFound and Conflict as `read_content` does.
    """
    present = content_hash(content)
    if present in (newest.content_hash, newest.equal_hash):
        return True
    if newest.problem:
        return False
    recorded = await read_content(ctx, newest)
    if recorded != content and not (
        _was_recorded(obj, newest) and _resolved(obj, recorded) == _resolved(obj, content)
    ):
        return False
    newest.equal_hash = present
    return True


def _was_recorded(obj: CustomObject, newest: Revision) -> bool:
    """Return True if the newest version was recorded for the present spec, according to the status.

    No status has the state Succeeded, a generation and a version before that version records that spec.
    """
    status = obj.status
    if obj.state is not State.SUCCEEDED or status.get("version") != newest.version:
        return False
    return bool(status.get("observedGeneration") == obj.generation)


def _resolved(obj: CustomObject, content: Json) -> tuple[tuple[str, ...], str | None]:
    """Return the parts of a content that may change while the spec stays."""
    return references_in(obj.key.kind, content), content.get(REGISTRATION)
