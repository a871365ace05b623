"""The only writer of a custom resource's status: fields, conditions, and an event on a change of state."""

from __future__ import annotations

from typing import Any, Final

from modelyard.api.conditions import build_conditions, value_of
from modelyard.api.kinds import IMAGE, SERVICE
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.api.status import State, Status, operation_end
from modelyard.kube.errors import NotFound
from modelyard.kube.merge import replacement
from modelyard.kube.types import Json
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.outcome import Condition, Outcome
from modelyard.reconcile.services.condition_events import record_condition_changes
from modelyard.reconcile.services.timeline import measure_first_answer
from modelyard.reconcile.timestamps import format_timestamp

_STATES_WITH_EVENT: Final = {State.SUCCEEDED, State.FAILED}
_COMMON_FIELDS: Final = {field.alias for field in Status.model_fields.values()}
_COMMON_CONDITIONS: Final = {"Ready", "Reconciling", "Stalled"}


async def write_status(ctx: Context, obj: CustomObject, outcome: Outcome) -> None:
    """Write the status of an outcome in one patch with the fields that differ, if any but `timeline` does.

    Raises Conflict if the object changed since it was read; the event of that change queues the object again.
    """
    status = desired_status(obj, outcome, format_timestamp(ctx.now()))
    patch = replacement(obj.status, status)
    if not patch.keys() - {"timeline"}:
        return
    before = obj.status
    state, id_, was_stalled = obj.state, obj.status.get("id"), obj.has_condition("Stalled")
    body = {"metadata": {"resourceVersion": str(obj.resource_version)}, "status": patch}
    try:
        with ctx.cache.pending_writes.writing_status(obj.key, status):
            written = await ctx.client.patch(
                CUSTOM_RESOURCES[obj.key.kind], obj.key.namespace, obj.key.name, body, subresource="status"
            )
    except NotFound:  # the object was deleted; its event follows
        return
    ctx.cache.objects.store_status(obj, status, written["metadata"])
    if obj.key.kind == SERVICE.name:
        measure_first_answer(obj.key, before, status)
    has_changed = (
        state is not outcome.state or id_ != status.get("id") or (outcome.stalled and not was_stalled)
    )
    if has_changed and outcome.state in _STATES_WITH_EVENT:
        warning = outcome.state is State.FAILED or outcome.stalled
        await ctx.recorder.record(obj, outcome.reason, outcome.message, warning=warning)
    if obj.key.kind == SERVICE.name:
        await record_condition_changes(ctx, obj, before, status)


def desired_status(obj: CustomObject, outcome: Outcome, now: str) -> Json:
    """Return the status of an outcome. A condition whose status stays keeps its lastTransitionTime.

    `now` is the present time as a timestamp of the Kubernetes API.
    """
    status: dict[str, Any] = {"observedGeneration": obj.generation}
    if revision := outcome.revision:
        status |= {
            "id": revision.id,
            "version": revision.version,
            "createdTime": revision.created,
            "operationId": revision.name,
        }
    status["state"] = str(outcome.state)
    if outcome.error:
        status["error"] = outcome.error.to_json()
    status |= {key: value for key, value in outcome.fields.items() if value not in (None, [], {}, "")}
    if obj.key.kind == IMAGE.name:
        status["creationState"] = str(outcome.state)
    if obj.key.kind == SERVICE.name:
        status["endTime"] = _end_time(obj, outcome, now)
        if status["endTime"] is None:
            del status["endTime"]
        elif outcome.state is State.SUCCEEDED and "timeline" in status:
            status["timeline"] = status["timeline"] | {"ready": status["endTime"]}
    status["conditions"] = build_conditions(
        _desired_conditions(outcome), obj.status.get("conditions", []), obj.generation, now
    )
    return status


def _end_time(obj: CustomObject, outcome: Outcome, now: str) -> str | None:
    """Return the time at which the operation of a Service ended, None before its end.

    Only the status has that time, until the next version is recorded. Revisions of the other kinds have it at
    once. A status of release 0.2.0 has no endTime: the transition of Ready is the nearest time.
    """
    if not outcome.state.ended:
        return None
    revision, before = outcome.revision, obj.status
    if revision and revision.state is outcome.state and revision.ended:
        return revision.ended
    if obj.state is outcome.state and before.get("version") == (revision and revision.version):
        return operation_end(before) or now
    return now


def previous_fields(obj: CustomObject) -> dict[str, Any]:
    """Return the status fields and conditions of the object's kind as they are, as arguments of an Outcome.

    They serve an outcome that does not know them because the reconcile failed early.
    """
    return {
        "fields": {key: value for key, value in obj.status.items() if key not in _COMMON_FIELDS},
        "conditions": {
            condition["type"]: (value_of(condition), condition["reason"], condition["message"])
            for condition in obj.status.get("conditions", ())
            if condition["type"] not in _COMMON_CONDITIONS
        },
    }


def _desired_conditions(outcome: Outcome) -> dict[str, Condition]:
    """Return the conditions by type. By kstatus, Reconciling and Stalled are true while they are abnormal.

    https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md#conditions
    """
    succeeded = outcome.state is State.SUCCEEDED
    stalled = outcome.needs_user
    ready = succeeded and outcome.ready and not outcome.stalled
    return {
        "Ready": (ready, outcome.reason, outcome.message),
        "Reconciling": (not stalled and not ready, outcome.reason, outcome.message),
        "Stalled": (stalled, outcome.reason, outcome.message),
        **outcome.conditions,
    }
