"""Choice of the version of the Image that a Service serves."""

from __future__ import annotations

from typing import Final

from modelyard.api import labels
from modelyard.api.kinds import IMAGE, MANIFEST
from modelyard.api.names import parse_version_reference
from modelyard.api.revision import Revision
from modelyard.api.service import ServiceSpec
from modelyard.api.status import State
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.outcome import Outcome, waiting
from modelyard.reconcile.resolution import Missing, built_version, recorded_reference, resolve

IMAGE_NOT_READY: Final = "ImageNotReady"
# final state of the Image's version → reason and message of the status
_UNBUILT: Final[dict[State | None, tuple[str, str]]] = {
    State.FAILED: ("ImageFailed", "whose build failed"),
    State.CANCELLED: ("ImageCancelled", "whose build a newer version cancelled: refer to a newer one"),
}


def built_image(ctx: Context, obj: CustomObject, spec: ServiceSpec) -> Revision | Outcome:
    """Return the version of the Image to serve, or the outcome while there is none."""
    newest = ctx.cache.revisions.newest(obj.key)
    image = resolve(ctx.cache, IMAGE, obj.key.namespace, spec.image_id)
    if isinstance(image, Missing):
        return waiting(image.reason or "ImageNotFound", image.message, newest)
    if built := built_version(ctx.cache, image, spec.image_id):
        return built
    if labels.IMAGE_RELEASED in image.annotations:
        ctx.queue.add(image.key)  # its reconcile builds the image again
    return _unbuilt(image, newest)


def _unbuilt(image: Revision, newest: Revision | None) -> Outcome:
    """Return the outcome of a Service whose Image has no image.

    A failure that the operator does not retry stalls the Service, as it stalls the Image. So a GitOps tool
    that waits for the Service fails at once. A new version or a new attempt of the Image ends the stall.
    """
    reason, detail = _UNBUILT.get(image.state, (IMAGE_NOT_READY, "which is not built yet"))
    if image.state is State.FAILED:
        detail += f" with {(image.error or {}).get('code', 'no error')}"
    stalled = image.state in _UNBUILT and labels.RETRY not in image.annotations
    return waiting(reason, f"waiting for Image {image.id}, {detail}", newest, stalled=stalled)


def recorded_image(ctx: Context, revision: Revision) -> Revision | None:
    """Return the version of the Image of a Service's version, None if the Image was deleted."""
    image_id = next(iter(revision.references), "")  # a version that is not valid has none
    return recorded_reference(ctx.cache, IMAGE, revision, image_id) if image_id else None


def recorded_manifest(ctx: Context, image: Revision) -> Revision | None:
    """Return the version of the Manifest of an Image's version, None if the Manifest was deleted."""
    return recorded_reference(ctx.cache, MANIFEST, image, image.references[0])


def newer_image(ctx: Context, spec: ServiceSpec, served: Revision) -> Revision | None:
    """Return the version of the Image that a Service will follow next, None if there is none."""
    if parse_version_reference(spec.image_id).version:
        return None
    newest = ctx.cache.revisions.newest(served.key)
    return newest if newest and newest.version > served.version else None
