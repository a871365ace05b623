"""Model: a change of what matters registers the next version."""

from __future__ import annotations

from modelyard.api.model import ModelSpec
from modelyard.api.status import State
from modelyard.reconcile import revisions
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.outcome import Outcome


async def reconcile(ctx: Context, item: CustomObject) -> Outcome:
    """Record the version; there is nothing to wait for."""
    spec = ModelSpec.model_validate(item.spec)
    record = await revisions.ensure_revision(ctx, item, revisions.content_of(spec, item), complete=True)
    return Outcome(State.SUCCEEDED, "Registered", f"{record.id} is registered", record)
