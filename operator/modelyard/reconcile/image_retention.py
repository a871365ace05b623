"""Retention of images: only the newest versions of an Image, and those in use, keep their image.

Releasing an image removes its location from the ControllerRevision; `modelyard images prune` may then delete
it from the registry. If a Service refers to such a version again, its image is found there or rebuilt.
"""

from __future__ import annotations

from modelyard.api import labels
from modelyard.api.names import parse_version_reference
from modelyard.api.revision import Revision
from modelyard.reconcile import revisions
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject


async def release_images(ctx: Context, obj: CustomObject) -> None:
    """Release the images of versions that no Service uses, beyond the newest `registry.keepVersions`."""
    keep = ctx.settings.registry.keep_versions
    built = [revision for revision in ctx.cache.revisions.history(obj) if revision.location]
    if not keep or len(built) <= keep:
        return
    used = used_versions(ctx, obj)
    for revision in built[keep:]:
        if revision.version not in used:
            await revisions.annotate(
                ctx, revision, {labels.IMAGE_LOCATION: None, labels.IMAGE_RELEASED: "true"}
            )


def newest_used(ctx: Context, obj: CustomObject, annotation: str) -> Revision | None:
    """Return the newest version with an annotation that a Service uses, else None."""
    history = ctx.cache.revisions.history(obj)
    marked = [item for item in history if annotation in item.annotations and not item.problem]
    used = used_versions(ctx, obj) if marked else set()
    return next((revision for revision in marked if revision.version in used), None)


def used_versions(ctx: Context, obj: CustomObject) -> set[int]:
    """Return the versions of an Image that Services refer to, or that their newest versions run."""
    used = set()
    for key in ctx.cache.objects.dependents(obj.key):
        service, revision = ctx.cache.objects.get(key), ctx.cache.revisions.newest(key)
        texts = [service.spec["imageId"]] if service else []
        texts += revision.references if revision else ()
        references = [parse_version_reference(text) for text in texts]
        used |= {ref.version for ref in references if ref.version and ref.name == obj.key.name}
    return used
