"""Reconciler of Services: the newest built image is rolled out, with an autoscaler and access keys."""

from __future__ import annotations

import dataclasses

from modelyard.api.revision import Revision
from modelyard.api.service import ServiceSpec
from modelyard.api.status import State, operation_end
from modelyard.kube.types import Key
from modelyard.reconcile import revisions
from modelyard.reconcile.adoption import NameTaken
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.outcome import Outcome, failed, name_taken
from modelyard.reconcile.rollout import assess_rollout
from modelyard.reconcile.services.autoscaler_status import autoscaler_status
from modelyard.reconcile.services.children import deployed_image, rollout_status, write_children
from modelyard.reconcile.services.collection_condition import collection_conditions
from modelyard.reconcile.services.old_replicas import until_old_replicas_stop
from modelyard.reconcile.services.pod_policy import NOT_ALLOWED, policy_problem
from modelyard.reconcile.services.replica_report import replica_conditions
from modelyard.reconcile.services.rollout_outcome import (
    is_serving,
    repeated_rollout_outcome,
    rollout_outcome,
    serving_outcome,
    was_rolled_out,
)
from modelyard.reconcile.services.route import RouteAddress, claim_address, release_address
from modelyard.reconcile.services.route_outcome import until_first_serving, until_route_serves, with_route
from modelyard.reconcile.services.route_report import route_report
from modelyard.reconcile.services.served_image import built_image
from modelyard.reconcile.services.sleep import sleep_of
from modelyard.reconcile.services.staged_rolls import end_roll, follow_roll, roll_conditions
from modelyard.reconcile.services.status_fields import conditions, status_fields
from modelyard.reconcile.services.timeline import service_timeline
from modelyard.resources.pod_template import ScoringImage


async def reconcile(ctx: Context, obj: CustomObject) -> Outcome:
    """Find the image, record the version, write the children, follow the rollout."""
    spec = ServiceSpec.model_validate(obj.spec)
    address = claim_address(ctx, obj, spec)
    outcome = await _phases(ctx, obj, spec, address)
    revision = outcome.revision
    if revision is None:
        return outcome
    report = await route_report(ctx, obj, spec, address)
    outcome = until_route_serves(ctx, obj, outcome, report)
    outcome = until_old_replicas_stop(ctx, obj, outcome)
    await _record_success(ctx, obj, revision, outcome)
    # Running pods serve on after a failure, too, so each outcome has the replicas in its status.
    rollout = rollout_status(ctx, obj)
    follow_roll(ctx, obj, outcome, rolling=rollout.rolling)
    replicas = await replica_conditions(ctx, obj, revision, rollout)
    autoscaler = autoscaler_status(ctx, obj, spec, rollout)
    timeline = await service_timeline(ctx, obj, outcome, revision, rollout)
    report = until_first_serving(obj, outcome, report)
    sleep = sleep_of(ctx, obj, spec, rollout)
    return dataclasses.replace(
        with_route(outcome, report),
        fields=status_fields(ctx, obj, spec, revision, rollout, report.url)
        | autoscaler.fields
        | {"timeline": timeline},
        conditions=conditions(spec, rollout, ctx.settings.scoring, sleep)
        | collection_conditions(ctx, obj, spec)
        | autoscaler.conditions
        | report.conditions
        | roll_conditions(ctx, obj)
        | replicas,
    )


def forget(ctx: Context, key: Key) -> None:
    """Free what a deleted Service held: its turn to roll, its address, and the state of its reports."""
    end_roll(ctx, key)
    ctx.pod_reports.forget(key)
    ctx.collection_reports.forget(key)
    ctx.autoscaler_reports.forget(key)
    release_address(ctx, key)


async def _phases(ctx: Context, obj: CustomObject, spec: ServiceSpec, address: RouteAddress) -> Outcome:
    image = built_image(ctx, obj, spec)
    if isinstance(image, Outcome):
        return await _waiting_outcome(ctx, obj, spec, image, address)
    content = revisions.content_of(spec, obj, imageId=image.id)
    revision = await revisions.ensure_revision(ctx, obj, content, references=[image])
    if problem := policy_problem(spec.pod, ctx.settings):
        return _not_allowed(obj, revision, problem)
    return await _roll_out(ctx, obj, spec, revision, image, address)


async def _roll_out(
    ctx: Context,
    obj: CustomObject,
    spec: ServiceSpec,
    revision: Revision,
    image: Revision,
    address: RouteAddress,
) -> Outcome:
    """Write the children of a version, and follow its rollout."""
    try:
        scoring_image = ScoringImage(str(image.location), image.architectures)
        await write_children(ctx, obj, spec, revision, scoring_image, address)
    except NameTaken as error:
        return name_taken(error, revision)
    rollout = rollout_status(ctx, obj)
    is_complete = assess_rollout(rollout, spec, None).complete
    if was_rolled_out(obj, revision):
        # The roll of a template that no version asked for must end before the next one begins.
        if rollout.rolling or (ctx.template_rolls.is_rolling(obj.key) and not is_complete):
            return await repeated_rollout_outcome(ctx, obj, spec, revision, rollout)
        return await serving_outcome(ctx, obj, spec, revision, image, rollout)
    if not is_complete:
        return await rollout_outcome(ctx, obj, spec, revision, rollout)
    return await serving_outcome(ctx, obj, spec, revision, image, rollout)


def _not_allowed(obj: CustomObject, revision: Revision, problem: str) -> Outcome:
    """Return the outcome of a Service with a setting that the platform does not allow.

    Its children stay as they are. A version that was rolled out before the platform denied the setting keeps
    its pods.
    """
    if was_rolled_out(obj, revision):
        message = f"{problem}; its pods stay as they are"
        return Outcome(State.SUCCEEDED, NOT_ALLOWED, message, revision, ready=False, stalled=True)
    return failed(NOT_ALLOWED, problem, revision)


async def _waiting_outcome(
    ctx: Context, obj: CustomObject, spec: ServiceSpec, waiting: Outcome, address: RouteAddress
) -> Outcome:
    """Scale and repair a Service that waits for an image, with the image that its Deployment has."""
    revision = waiting.revision
    image = await deployed_image(ctx, obj) if revision else None
    if revision is None or image is None or policy_problem(spec.pod, ctx.settings):
        return waiting
    try:
        await write_children(ctx, obj, spec, revision, image, address)
    except NameTaken as error:
        return name_taken(error, revision)
    message = f"{waiting.message}; the Deployment has the last image"
    return dataclasses.replace(waiting, message=message)


async def _record_success(ctx: Context, obj: CustomObject, revision: Revision, outcome: Outcome) -> None:
    """Record the success of a rollout in the revision, unless the status has it."""
    rolled_out = is_serving(outcome) or was_rolled_out(obj, revision)
    in_status = outcome.state is State.SUCCEEDED and revision.state is None
    if rolled_out and not in_status and revision.state is not State.SUCCEEDED:
        # The status of the version has the end of its rollout, unless the rollout ends just now.
        has_ended = obj.state is State.SUCCEEDED and obj.status.get("version") == revision.version
        ended = operation_end(obj.status) if has_ended else None
        await revisions.end_operation(ctx, revision, State.SUCCEEDED, ended=ended)
