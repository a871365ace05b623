"""Reconciler of Images: each version is built once, or found in the registry by the hash of its inputs."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import Final

import orjson

from modelyard.api import labels
from modelyard.api.image import ImageSpec
from modelyard.api.kinds import MANIFEST, MODEL
from modelyard.api.revision import Revision
from modelyard.api.status import ErrorResponse, ImageTimeline, State
from modelyard.kube.types import CONFIG_MAPS, JOBS, Json, Key
from modelyard.reconcile import image_presence, image_retention, revisions
from modelyard.reconcile.builds import build_log, lifecycle
from modelyard.reconcile.builds.build_line import describe_place
from modelyard.reconcile.builds.failures import Failure
from modelyard.reconcile.builds.lookups import QUIET_SECONDS, Pending
from modelyard.reconcile.builds.request import NotOfferedError, base_image, builder
from modelyard.reconcile.builds.retries import attempts_of, failed_outcome, failure_annotations
from modelyard.reconcile.builds.waiting import Waiting
from modelyard.reconcile.contents import read_content
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import BuildJob, CustomObject
from modelyard.reconcile.outcome import Outcome, failed, waiting
from modelyard.reconcile.references import has_same_content
from modelyard.reconcile.resolution import Missing, recorded_reference, resolve

_LOG: Final = logging.getLogger(__name__)
_OS: Final = "linux"
_PLACE_SECONDS: Final = 30.0  # until the place in the line is read again; a turn queues the Image at once
_RECHECK_SECONDS: Final = 15.0  # no watch covers Secrets of users, so a build that waits for one polls


async def reconcile(ctx: Context, obj: CustomObject) -> Outcome:
    """Resolve the Manifest, record the version, cancel builds of older versions, advance the build."""
    await _cancel_of_deleted_image(ctx, obj)
    outcome = await _phases(ctx, obj)
    return dataclasses.replace(outcome, fields={**_fields(outcome.revision), **outcome.fields})


async def _phases(ctx: Context, obj: CustomObject) -> Outcome:
    spec = ImageSpec.model_validate(obj.spec)
    manifest = resolve(ctx.cache, MANIFEST, obj.key.namespace, spec.manifest_id)
    if isinstance(manifest, Missing):
        ctx.build_line.leave(obj.key)
        reason = manifest.reason or "ManifestNotFound"
        return waiting(reason, manifest.message, ctx.cache.revisions.newest(obj.key))
    content = revisions.content_of(spec, obj, manifestId=manifest.id)
    revision = await revisions.ensure_revision(ctx, obj, content, references=[manifest])
    finished = _finished_outcome(ctx, revision)
    missing = image_retention.newest_used(ctx, obj, labels.IMAGE_RELEASED) if finished else None
    lost = None
    if finished and not missing:
        lost = image_retention.newest_used(ctx, obj, labels.IMAGE_LOST)
    await _cancel(ctx, obj.key, keep=missing or lost or revision)
    if finished is None:
        return await _build(ctx, obj, revision, manifest)
    if missing:
        return await _rebuild(ctx, obj, missing, finished)
    if lost:
        return await _restore(ctx, obj, lost, finished)
    ctx.build_line.leave(obj.key)
    await image_retention.release_images(ctx, obj)
    seconds = await image_presence.look(ctx, obj)
    return dataclasses.replace(finished, requeue_after=_earliest(finished.requeue_after, seconds))


def _finished_outcome(ctx: Context, revision: Revision) -> Outcome | None:
    """Return the outcome of a version that is built or has failed, None if it must be built now."""
    if revision.location:
        return _succeeded(revision)
    return failed_outcome(ctx, revision) if revision.state is State.FAILED else None


async def _rebuild(ctx: Context, obj: CustomObject, missing: Revision, finished: Outcome) -> Outcome:
    """Build the released image of an older version again; the status stays that of the newest version."""
    manifest = recorded_reference(ctx.cache, MANIFEST, missing, missing.references[0])
    if manifest is None:
        return finished
    outcome = _finished_outcome(ctx, missing) or await _build(ctx, obj, missing, manifest)
    return dataclasses.replace(
        finished, requeue_after=_earliest(finished.requeue_after, outcome.requeue_after)
    )


async def _restore(ctx: Context, obj: CustomObject, lost: Revision, finished: Outcome) -> Outcome:
    """Build the lost image of a version again. The Image is not Ready, and its Services go on."""
    message = f"the registry has no {lost.location}: {lost.id} is built again"
    manifest = recorded_reference(ctx.cache, MANIFEST, lost, lost.references[0])
    if manifest is None:
        message = f"the registry has no {lost.location}, and its Manifest has other content now"
        return dataclasses.replace(finished, ready=False, reason="ImageLost", message=message)
    outcome = failed_outcome(ctx, lost) if lost.state is State.FAILED else None
    outcome = outcome or await _build(ctx, obj, lost, manifest)
    if outcome.reason == "Built":
        finished = _finished_outcome(ctx, finished.revision or lost) or finished
        return dataclasses.replace(finished, requeue_after=outcome.requeue_after)
    return dataclasses.replace(
        finished,
        ready=False,
        reason="ImageLost",
        message=f"{message}: {outcome.message}",
        requeue_after=_earliest(finished.requeue_after, outcome.requeue_after),
    )


def _earliest(*seconds: float | None) -> float | None:
    return min((second for second in seconds if second is not None), default=None)


async def cancel_builds(ctx: Context, key: Key) -> None:
    """Delete the build Jobs of a deleted Image.

    The garbage collector does not: the Jobs are in the operator's namespace, and owner references do not
    cross namespaces.
    """
    ctx.lookups.forget(key)
    ctx.build_line.leave(key)
    ctx.cache.presence.forget(key)
    await _cancel(ctx, key, keep=None)


async def _cancel(ctx: Context, key: Key, keep: Revision | None) -> None:
    """Delete the build Jobs of other versions, and running Jobs of attempts that have ended."""
    for job in ctx.cache.build_jobs.of_image(key):
        is_old = keep is None or job.version != keep.version
        if is_old or (job.attempt <= attempts_of(keep) and not (job.complete or job.failed)):
            await _delete_job(ctx, job)


async def _cancel_of_deleted_image(ctx: Context, obj: CustomObject) -> None:
    """Delete the build Jobs of a deleted Image of the same name.

    The operator may first see both the deletion and the new Image in one look, for example after a restart.
    """
    for job in ctx.cache.build_jobs.of_image(obj.key):
        if job.name != labels.job_name(obj.uid, job.version, job.attempt):
            await _delete_job(ctx, job)


async def _delete_job(ctx: Context, job: BuildJob) -> None:
    _LOG.info("cancelling build %s of %s", job.name, job.image)
    await ctx.client.delete(JOBS, ctx.settings.namespace, job.name, uid=job.uid)
    ctx.cache.build_jobs.delete(job.name)
    ctx.build_line.wake()


async def _build(ctx: Context, obj: CustomObject, revision: Revision, manifest: Revision) -> Outcome:
    """Advance the build of a version. Only a build that waits keeps its place in the line."""
    keeps_place = False
    try:
        attempt = attempts_of(revision) + 1
        state = await _advance(ctx, obj, revision, manifest, attempt)
        keeps_place = isinstance(state, Pending | lifecycle.Queued)
        if isinstance(state, Failure):
            return await _record_failure(ctx, revision, state, attempt)
        if isinstance(state, lifecycle.Built):
            annotations = {
                labels.IMAGE_LOCATION: state.location,
                labels.IMAGE_ARCHITECTURE: ",".join(state.architectures) or None,
                labels.BUILD_TIMES: _times_text(state),
                labels.IMAGE_RELEASED: None,
                labels.IMAGE_LOST: None,
            }
            await _end_build(ctx, revision, State.SUCCEEDED, annotations)
            # The status comes first. The next reconcile releases older images, and looks at the used ones.
            return dataclasses.replace(_succeeded(revision), requeue_after=0.0)
        return _unfinished(revision, state)
    finally:
        if not keeps_place:
            ctx.build_line.leave(obj.key)


async def _advance(
    ctx: Context, obj: CustomObject, revision: Revision, manifest: Revision, attempt: int
) -> lifecycle.BuildState:
    models = _models(ctx, obj, manifest)
    if isinstance(models, Waiting):
        return models
    if queued := lifecycle.place_in_line(ctx, obj, revision):
        return queued  # before any read: many builds may wait
    manifest_content = await read_content(ctx, manifest)
    if (refusal := _not_offered(ctx, manifest_content)) is not None:
        return refusal
    contents = {id_: await read_content(ctx, model) for id_, model in models.items()}
    return await lifecycle.advance(ctx, obj, revision, manifest_content, contents, attempt)


def _times_text(built: lifecycle.Built) -> str | None:
    """Return the annotation with the times of a build, None without any."""
    times = ImageTimeline(**built.times._asdict()).to_json() if built.times else {}
    return orjson.dumps(times).decode() if times else None


def _unfinished(
    revision: Revision, state: Pending | Waiting | lifecycle.Queued | lifecycle.Running
) -> Outcome:
    """Return the outcome of a build that has not ended."""
    if isinstance(state, Pending):
        return _looking_up(revision, state)
    if isinstance(state, Waiting):
        return waiting(
            state.reason, state.message, revision, stalled=state.stalled, requeue_after=_RECHECK_SECONDS
        )
    if isinstance(state, lifecycle.Queued):
        message = f"waiting for a free build: {describe_place(state.place)}"
        return waiting("BuildQueued", message, revision, requeue_after=_PLACE_SECONDS)
    return Outcome(
        State.RUNNING,
        "Building",
        state.message,
        revision,
        fields={"progress": state.progress},
        requeue_after=build_log.POLL_SECONDS,
    )


def _looking_up(revision: Revision, lookup: Pending) -> Outcome:
    """Return the outcome until the registry answers. The usual answer takes milliseconds and no write."""
    remaining = QUIET_SECONDS - lookup.seconds
    if remaining <= 0:
        return waiting("RegistryLookup", "waiting for the answer of the registry", revision)
    return waiting(
        "RegistryLookup",
        "waiting for the answer of the registry",
        revision,
        keeps_status=True,
        requeue_after=remaining,
    )


def _models(ctx: Context, obj: CustomObject, manifest: Revision) -> dict[str, Revision] | Waiting:
    """Return the versions of the Models of a Manifest by id."""
    models: dict[str, Revision] = {}
    ids = manifest.references
    for id_ in ids:
        model = resolve(ctx.cache, MODEL, obj.key.namespace, id_)
        if isinstance(model, Missing):
            return Waiting(model.reason or "ModelNotFound", model.message)
        if not has_same_content(manifest, ids, model):
            # A Manifest that follows the Model by name gets a new version next, and this Image with it.
            message = (
                f"Model {id_} was deleted and created again with other content than Manifest {manifest.id}"
                " refers to: refer to a newer version of the Manifest"
            )
            return Waiting("ModelReplaced", message)
        models[id_] = model
    return models


def _not_offered(ctx: Context, manifest: Json) -> Failure | None:
    """Return a failure if the Manifest needs a base image or builder that the chart does not offer."""
    try:
        base_image(manifest, ctx.settings)
        builder(manifest, ctx.settings)
    except NotOfferedError as error:
        return Failure(ErrorResponse(code=error.code, message=str(error), status_code=400))
    return None


async def _record_failure(ctx: Context, revision: Revision, failure: Failure, attempt: int) -> Outcome:
    """Record a failed attempt and return the outcome until the next one."""
    annotations = failure_annotations(ctx, revision, failure, attempt)
    await _end_build(ctx, revision, State.FAILED, annotations, failure.error)
    outcome = failed_outcome(ctx, revision)
    return outcome or failed(failure.error.code, failure.error.message, revision)


async def _end_build(
    ctx: Context,
    revision: Revision,
    state: State,
    annotations: Mapping[str, str | None],
    error: ErrorResponse | None = None,
) -> None:
    """Record the final state of a build, and requeue the Services that wait for it."""
    await revisions.end_operation(ctx, revision, state, error=error, annotations=annotations)
    for dependent in ctx.cache.objects.dependents(revision.key):
        ctx.queue.add(dependent)


def _succeeded(revision: Revision) -> Outcome:
    message = f"{revision.id} is in the registry as {revision.location}"
    return Outcome(State.SUCCEEDED, "Built", message, revision)


def _fields(revision: Revision | None) -> Json:
    if revision is None:
        return {}
    log = revision.annotations.get(labels.BUILD_LOG)
    return {
        "manifestId": next(iter(revision.references), None),
        "imageLocation": revision.location,
        "platforms": [f"{_OS}/{architecture}" for architecture in revision.architectures] or None,
        "timeline": revision.timeline,
        "imageBuildLogUri": CONFIG_MAPS.path(revision.key.namespace, log) if log else None,
    }
