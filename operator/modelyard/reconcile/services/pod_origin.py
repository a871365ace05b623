"""Marks of the pods of a Service: the version that starts them, and the ids of its models."""

from __future__ import annotations

import orjson

from modelyard.api.revision import Revision
from modelyard.api.service import ServiceSpec
from modelyard.reconcile.context import Context
from modelyard.reconcile.services.served_image import recorded_image, recorded_manifest
from modelyard.resources.collection import is_offered
from modelyard.resources.pod_template import PodOrigin


def pod_origin(ctx: Context, spec: ServiceSpec, revision: Revision) -> PodOrigin:
    """Return the marks of the pods that a version of a Service starts."""
    version = str(revision.version)
    if not is_offered(spec, ctx.settings.data_collection):
        return PodOrigin(version)
    image = recorded_image(ctx, revision)
    manifest = recorded_manifest(ctx, image) if image else None
    ids = list(manifest.references) if manifest else []
    return PodOrigin(version, orjson.dumps(ids).decode())
