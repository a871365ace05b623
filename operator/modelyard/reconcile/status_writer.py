"""The one writer of status: state, conditions, and an event when the state changes."""

from __future__ import annotations

from typing import Any, Final

from modelyard.api.conditions import build_conditions
from modelyard.api.kinds import IMAGE
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.api.status import State, Status
from modelyard.kube.errors import NotFound
from modelyard.kube.merge import replacement
from modelyard.kube.types import Json
from modelyard.reconcile.context import Context, timestamp
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.outcome import Outcome

_EVENTFUL: Final = {State.SUCCEEDED, State.FAILED}
_EVERY_KIND: Final = {field.alias for field in Status.model_fields.values()}
_OF_KSTATUS: Final = {"Ready", "Reconciling", "Stalled"}


async def write_status(ctx: Context, item: CustomObject, outcome: Outcome) -> None:
    """Write what differs from the status, in one patch; nothing when nothing does.

    Conflict when the object is another one than was read: what was judged and compared is old, and news is on
    its way.
    """
    status = desired_status(item, outcome, timestamp(ctx.now()))
    patch = replacement(item.status, status)
    if not patch:
        return
    before = (item.state, item.status.get("id"))
    body = {"metadata": {"resourceVersion": str(item.resource_version)}, "status": patch}
    try:
        with ctx.cache.pending_writes.writing_status(item.key, status):
            written = await ctx.client.patch(
                CUSTOM_RESOURCES[item.key.kind], item.key.namespace, item.key.name, body, subresource="status"
            )
    except NotFound:  # deleted meanwhile: the watch will say so
        return
    ctx.cache.objects.store_status(item, status, written["metadata"])
    if before != (outcome.state, status.get("id")) and outcome.state in _EVENTFUL:
        await ctx.recorder.record(
            item, outcome.reason, outcome.message, warning=outcome.state is State.FAILED
        )


def desired_status(item: CustomObject, outcome: Outcome, now: str) -> Json:
    """The status that says this outcome; a condition keeps its transition time while its status stays."""
    record = outcome.record
    versioned: dict[str, Any] = (
        {
            "id": record.id,
            "version": record.version,
            "createdTime": record.created,
            "operationId": record.name,
        }
        if record
        else {}
    )
    error = {"error": outcome.error.to_json()} if outcome.error else {}
    fields = {key: value for key, value in outcome.fields.items() if value not in (None, [], "")}
    if item.key.kind == IMAGE.name:
        fields["creationState"] = str(outcome.state)
    return {
        "observedGeneration": item.generation,
        **versioned,
        "state": str(outcome.state),
        **error,
        **fields,
        "conditions": build_conditions(
            _wanted_conditions(outcome), item.status.get("conditions", []), item.generation, now
        ),
    }


def previous_fields(item: CustomObject) -> dict[str, Any]:
    """The kind's own part of the status as it is, for an outcome that says nothing of it."""
    return {
        "fields": {key: value for key, value in item.status.items() if key not in _EVERY_KIND},
        "conditions": {
            condition["type"]: (condition["status"] == "True", condition["reason"], condition["message"])
            for condition in item.status.get("conditions", ())
            if condition["type"] not in _OF_KSTATUS
        },
    }


def _wanted_conditions(outcome: Outcome) -> dict[str, tuple[bool, str, str]]:
    """Type → (status, reason, message). In kstatus, Reconciling and Stalled are true when abnormal."""
    said = (outcome.reason, outcome.message)
    succeeded = outcome.state is State.SUCCEEDED
    stalled = outcome.state in {State.FAILED, State.CANCELLED} and not outcome.retrying
    ready = succeeded and outcome.ready
    return {
        "Ready": (ready, *said),
        "Reconciling": (not stalled and not ready, *said),
        "Stalled": (stalled, *said),
        **outcome.conditions,
    }
