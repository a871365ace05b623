"""Which versions of an Image keep their images, where not all do, and which get theirs back.

Giving an image up takes its location off the version's record; nothing then keeps `modelyard images prune`
from deleting it. A Service that is moved back to such a version has it found, or built again.
"""

from __future__ import annotations

from modelyard.api import labels
from modelyard.api.names import parse_version_reference
from modelyard.api.revision import Revision
from modelyard.reconcile import revisions
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject


async def release_images(ctx: Context, item: CustomObject) -> None:
    """Give up the images of versions that are neither among the newest ones nor in a Service's use."""
    keep = ctx.settings.registry.keep_versions
    built = [record for record in ctx.cache.revisions.history(item) if record.location]
    if not keep or len(built) <= keep:
        return
    used = _used(ctx, item)
    for record in built[keep:]:
        if record.version not in used:
            await revisions.annotate(
                ctx, record, {labels.IMAGE_LOCATION: None, labels.IMAGE_RELEASED: "true"}
            )


def missing_image(ctx: Context, item: CustomObject) -> Revision | None:
    """The newest version whose image was given up and that a Service uses nevertheless."""
    used = _used(ctx, item)
    given_up = (
        record for record in ctx.cache.revisions.history(item) if labels.IMAGE_RELEASED in record.annotations
    )
    return next((record for record in given_up if record.version in used), None)


def _used(ctx: Context, item: CustomObject) -> set[int]:
    """Versions that Services stay at, and those that the newest versions of Services run."""
    used = set()
    for key in ctx.cache.objects.dependents(item.key):
        service, record = ctx.cache.objects.get(key), ctx.cache.revisions.newest(key)
        texts = [service.spec["imageId"] if service else "", record.data["imageId"] if record else ""]
        references = [parse_version_reference(text) for text in texts]
        used |= {ref.version for ref in references if ref.version and ref.name == item.key.name}
    return used
