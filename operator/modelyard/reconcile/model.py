"""Model: a change of what matters registers the next version."""

from __future__ import annotations

from modelyard.api.model import ModelSpec
from modelyard.api.status import State
from modelyard.reconcile import versions
from modelyard.reconcile.context import Context
from modelyard.reconcile.known import Item
from modelyard.reconcile.outcome import Outcome


async def reconcile(ctx: Context, item: Item) -> Outcome:
    """Record the version; there is nothing to wait for."""
    spec = ModelSpec.model_validate(item.spec)
    record = await versions.ensure(ctx, item, versions.content_of(spec, item), complete=True)
    return Outcome(State.SUCCEEDED, "Registered", f"{record.id} is registered", record)
