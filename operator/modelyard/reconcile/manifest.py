"""Manifest: a change of it, or of a model that it follows, makes the next version."""

from __future__ import annotations

from modelyard.api.kinds import MODEL
from modelyard.api.manifest import ManifestSpec
from modelyard.api.status import State
from modelyard.reconcile import revisions
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.outcome import Outcome, waiting


async def reconcile(ctx: Context, item: CustomObject) -> Outcome:
    """Resolve the models, record the version."""
    spec = ManifestSpec.model_validate(item.spec)
    resolved = [revisions.resolve(ctx, MODEL, item.key.namespace, text) for text in spec.model_ids]
    missing = [found for found in resolved if isinstance(found, str)]
    if missing:
        newest = ctx.cache.revisions.newest(item.key)
        return waiting(
            "ModelNotFound", "; ".join(missing), newest, fields=_fields(newest.data) if newest else {}
        )
    ids = [found.id for found in resolved if not isinstance(found, str)]
    record = await revisions.ensure_revision(
        ctx, item, revisions.content_of(spec, item, modelIds=ids), complete=True
    )
    return Outcome(State.SUCCEEDED, "Created", f"{record.id} is created", record, fields=_fields(record.data))


def _fields(data: dict[str, list[str]]) -> dict[str, list[str]]:
    return {"modelIds": data["modelIds"]}
