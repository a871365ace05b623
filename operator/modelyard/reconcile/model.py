"""Reconciler of Models: each change of their content registers the next version."""

from __future__ import annotations

from modelyard.api.model import ModelSpec
from modelyard.api.status import State
from modelyard.reconcile import revisions
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.outcome import Outcome


async def reconcile(ctx: Context, obj: CustomObject) -> Outcome:
    """Record the version of a Model, which is complete at once."""
    spec = ModelSpec.model_validate(obj.spec)
    content = revisions.content_of(spec, obj)
    revision = await revisions.ensure_revision(ctx, obj, content, complete=True)
    return Outcome(State.SUCCEEDED, "Registered", f"{revision.id} is registered", revision)
