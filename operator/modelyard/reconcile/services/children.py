"""Writer of the children of a Service: Secret, Deployment, core Service, autoscaler, budget, route."""

from __future__ import annotations

from modelyard.api import labels
from modelyard.api.access_keys import missing_keys
from modelyard.api.owners import Owner
from modelyard.api.revision import Revision
from modelyard.api.service import ServiceSpec
from modelyard.kube.types import AUTOSCALERS, CORE_SERVICES, DEPLOYMENTS, DISRUPTION_BUDGETS, SECRETS, Json
from modelyard.reconcile import revisions
from modelyard.reconcile.children import create_or_patch, ensure_absent, merge
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject, RolloutStatus
from modelyard.reconcile.services.pod_origin import pod_origin
from modelyard.reconcile.services.route import RouteAddress, write_route
from modelyard.reconcile.services.sleep import may_sleep
from modelyard.reconcile.services.staged_rolls import follows_operator, turn
from modelyard.reconcile.services.template import (
    applied_annotations,
    applied_image,
    kept_deployment,
    removed_fields,
)
from modelyard.resources import serving
from modelyard.resources.autoscaling import autoscaler
from modelyard.resources.pod_template import ScoringImage


async def write_children(
    ctx: Context,
    obj: CustomObject,
    spec: ServiceSpec,
    revision: Revision,
    image: ScoringImage,
    address: RouteAddress,
) -> None:
    """Create, patch and delete the children of a Service. Raises NameTaken and Conflict."""
    owner = revisions.as_owner(obj)
    name = owner.name
    await _write_keys(ctx, obj, owner)
    if not spec.autoscales:
        # Delete the autoscaler before setting replicas: it would set its own number again.
        await ensure_absent(ctx, obj, AUTOSCALERS, name)
    await create_or_patch(
        ctx,
        obj,
        DEPLOYMENTS,
        name,
        lambda: serving.with_origin(
            serving.deployment(owner, spec, image, ctx.settings.scoring, ctx.settings.data_collection),
            pod_origin(ctx, spec, revision),
        ),
        inputs=(
            f"{image.location} {image.architectures} {revision.version} "
            f"{follows_operator(ctx, obj)} {turn(ctx, obj)}"
        ),
        on_create=lambda: {"spec": {"replicas": spec.min_replicas}},
        on_patch=lambda live, desired: merge(_resumed(live), removed_fields(live, desired)),
        keep=lambda live, present: kept_deployment(ctx, obj, spec, revision, image.location, live, present),
        on_write=lambda desired: applied_annotations(spec, image.location, desired),
    )
    if spec.num_replicas is None and not may_sleep(spec, ctx.settings.scoring):
        await _scale_from_zero(ctx, obj, spec)
    await create_or_patch(ctx, obj, CORE_SERVICES, name, lambda: serving.core_service(owner))
    if spec.autoscales:
        has_metric = ctx.settings.scoring.has_requests_metric
        await create_or_patch(
            ctx,
            obj,
            AUTOSCALERS,
            name,
            lambda: autoscaler(owner, spec, has_requests_metric=has_metric),
        )
    if _needs_budget(ctx, obj, spec):
        await create_or_patch(ctx, obj, DISRUPTION_BUDGETS, name, lambda: serving.disruption_budget(owner))
    else:
        await ensure_absent(ctx, obj, DISRUPTION_BUDGETS, name)
    await write_route(ctx, obj, address)


def _needs_budget(ctx: Context, obj: CustomObject, spec: ServiceSpec) -> bool:
    """Return True if the Service has, or has had, more than one replica with its present scaling.

    A budget of maxUnavailable 1 never blocks the eviction of a single replica. So a Service with
    minReplicas 1 gets its budget with the second replica, and keeps it when the autoscaler scales down.
    """
    if spec.min_replicas > 1:
        return True
    if not spec.autoscales or spec.scaling.effective_max == 1:
        return False
    exists = ctx.cache.children.get(DISRUPTION_BUDGETS, obj.key.namespace, obj.key.name) is not None
    return exists or rollout_status(ctx, obj).desired > 1


def _resumed(live: Json) -> Json:
    """Return the patch that resumes a paused Deployment, empty if the Deployment is not paused.

    A paused Deployment starts no pods of a new version, and its progress deadline does not run. The desired
    Deployment cannot have `paused: false`, which the API server omits: each comparison would find a change.
    """
    return {"spec": {"paused": None}} if live["spec"].get("paused") else {}


async def _scale_from_zero(ctx: Context, obj: CustomObject, spec: ServiceSpec) -> None:
    """Give a Deployment with 0 replicas the minimum: an autoscaler is off while its target has 0.

    https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#implicit-maintenance-mode-deactivation
    """
    child = ctx.cache.children.get(DEPLOYMENTS, obj.key.namespace, obj.key.name)
    if child is None:
        return
    status = child.rollout
    if status.observed and status.observed == status.generation and status.desired == 0:
        patch = {
            "metadata": {"resourceVersion": str(child.resource_version)},
            "spec": {"replicas": spec.min_replicas},
        }
        written = await ctx.client.patch(DEPLOYMENTS, obj.key.namespace, obj.key.name, patch)
        ctx.cache.children.store_written(DEPLOYMENTS, written)


async def _write_keys(ctx: Context, obj: CustomObject, owner: Owner) -> None:
    """Create the Secret with both access keys, or add a key that was removed from it."""
    name = labels.keys_name(owner.name)
    await create_or_patch(
        ctx,
        obj,
        SECRETS,
        name,
        lambda: serving.keys(owner),
        on_create=lambda: {"data": missing_keys({})},
        on_patch=lambda live, desired: _absent_keys(live),
    )


def _absent_keys(live: Json) -> Json:
    """Return the patch that adds the keys that a live Secret lacks, empty if the Secret has both."""
    missing = missing_keys(live.get("data") or {})
    return {"data": missing} if missing else {}


def rollout_status(ctx: Context, obj: CustomObject) -> RolloutStatus:
    """Return the cached status of the Deployment, all zeros if there is no Deployment."""
    child = ctx.cache.children.get(DEPLOYMENTS, obj.key.namespace, obj.key.name)
    return child.rollout if child else RolloutStatus()


async def deployed_image(ctx: Context, obj: CustomObject) -> ScoringImage | None:
    """Return the image that the Deployment was last written with, None without an own Deployment."""
    namespace, name = obj.key.namespace, obj.key.name
    child = ctx.cache.children.get(DEPLOYMENTS, namespace, name)
    if child is None or child.owner_uid != obj.uid:
        return None
    live = await ctx.client.get_or_none(DEPLOYMENTS, namespace, name)
    return applied_image(live) if live else None
