"""Reconciler of Manifests: a changed Manifest, or a new version of its Models, creates the next version."""

from __future__ import annotations

from modelyard.api.kinds import MODEL
from modelyard.api.manifest import ManifestSpec
from modelyard.api.revision import Revision
from modelyard.api.status import State
from modelyard.reconcile import revisions
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.outcome import Outcome, waiting
from modelyard.reconcile.resolution import Missing, resolve


async def reconcile(ctx: Context, obj: CustomObject) -> Outcome:
    """Resolve the Models of a Manifest and record its version."""
    spec = ManifestSpec.model_validate(obj.spec)
    models: list[Revision] = []
    missing: list[Missing] = []
    for reference in spec.model_ids:
        model = resolve(ctx.cache, MODEL, obj.key.namespace, reference)
        if isinstance(model, Missing):
            missing.append(model)
        else:
            models.append(model)
    if missing:
        newest = ctx.cache.revisions.newest(obj.key)
        fields = _fields(newest) if newest else {}
        reason = next((item.reason for item in missing if item.reason), "ModelNotFound")
        return waiting(reason, "; ".join(item.message for item in missing), newest, fields=fields)
    content = revisions.content_of(spec, obj, modelIds=[model.id for model in models])
    revision = await revisions.ensure_revision(ctx, obj, content, references=models, complete=True)
    return Outcome(
        State.SUCCEEDED, "Created", f"{revision.id} is created", revision, fields=_fields(revision)
    )


def _fields(revision: Revision) -> dict[str, list[str]]:
    return {"modelIds": list(revision.references)}
