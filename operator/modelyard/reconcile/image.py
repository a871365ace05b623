"""Image: each version of its manifest is built once, or found in the registry by the hash of its inputs."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
from collections.abc import Mapping
from typing import Final

from modelyard.api import labels
from modelyard.api.image import ImageSpec
from modelyard.api.kinds import MANIFEST, MODEL
from modelyard.api.revision import Revision
from modelyard.api.status import ErrorResponse, State
from modelyard.kube.types import CONFIG_MAPS, JOBS, Key
from modelyard.reconcile import (
    image_retention,
    revisions,
)
from modelyard.reconcile.builds import (
    log_keeper,
    progress,
)
from modelyard.reconcile.builds.progress import Failure
from modelyard.reconcile.builds.request import (
    NotOfferedError,
    base_image,
    builder,
)
from modelyard.reconcile.context import Context, parse_timestamp
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.outcome import Outcome, failed, waiting

_LOG: Final = logging.getLogger(__name__)
_LOOK_AGAIN: Final = 15.0  # seconds until Secrets and models, of which no event tells, are looked for again
_LONGEST_PAUSE: Final = 600.0  # seconds between two attempts


async def reconcile(ctx: Context, item: CustomObject) -> Outcome:
    """Resolve the manifest, record the version, cancel older builds, then see this one through."""
    outcome = await _phases(ctx, item)
    return dataclasses.replace(outcome, fields={**_fields(outcome.record), **outcome.fields})


async def _phases(ctx: Context, item: CustomObject) -> Outcome:
    spec = ImageSpec.model_validate(item.spec)
    manifest = revisions.resolve(ctx, MANIFEST, item.key.namespace, spec.manifest_id)
    if isinstance(manifest, str):
        newest = ctx.cache.revisions.newest(item.key)
        return waiting("ManifestNotFound", manifest, newest)
    content = revisions.content_of(spec, item, manifestId=manifest.id)
    record = await revisions.ensure_revision(ctx, item, content)
    settled = _finished_outcome(ctx, record)
    missed = image_retention.missing_image(ctx, item) if settled else None
    await _cancel(ctx, item.key, keep=missed or record)
    if settled is None:
        return await _build(ctx, item, record, manifest)
    if missed:
        return await _restore(ctx, item, missed, settled)
    await image_retention.release_images(ctx, item)
    return settled


def _finished_outcome(ctx: Context, record: Revision) -> Outcome | None:
    """The outcome of a version that has nothing to do now."""
    if record.location:
        return _succeeded(record)
    return _failed_outcome(ctx, record) if record.state is State.FAILED else None


async def _restore(ctx: Context, item: CustomObject, missed: Revision, settled: Outcome) -> Outcome:
    """See the image of an older version built again; what is said stays that of the newest one."""
    manifest = revisions.resolve(ctx, MANIFEST, item.key.namespace, missed.data["manifestId"])
    if isinstance(manifest, str):
        return settled
    outcome = _finished_outcome(ctx, missed) or await _build(ctx, item, missed, manifest)
    waits = [pause for pause in (settled.requeue_after, outcome.requeue_after) if pause is not None]
    return dataclasses.replace(settled, requeue_after=min(waits, default=None))


async def cancel_builds(ctx: Context, key: Key) -> None:
    """The Image has gone, its builds go too: nothing collects them across namespaces."""
    await _cancel(ctx, key, keep=None)


async def _cancel(ctx: Context, key: Key, keep: Revision | None) -> None:
    """Delete the build Jobs of other versions, and one of an earlier attempt that is still at work."""
    for job in ctx.cache.build_jobs.of_image(key):
        is_old = keep is None or job.version != keep.version
        if is_old or (job.attempt <= _attempts(keep) and not (job.complete or job.failed)):
            _LOG.info("cancelling build %s of %s", job.name, key)
            await ctx.client.delete(JOBS, ctx.settings.namespace, job.name, uid=job.uid)
            ctx.cache.build_jobs.delete(job.name)


async def _build(ctx: Context, item: CustomObject, record: Revision, manifest: Revision) -> Outcome:
    if (refusal := _not_supported(ctx, manifest)) is not None:
        return await _failed(ctx, record, refusal, attempt=1)
    models: dict[str, Revision] = {}
    for id_ in manifest.data["modelIds"]:
        model = revisions.resolve(ctx, MODEL, item.key.namespace, id_)
        if isinstance(model, str):
            return waiting("ModelNotFound", model, record, requeue_after=_LOOK_AGAIN)
        models[id_] = model
    attempt = _attempts(record) + 1
    found = await progress.advance(
        ctx, item, record, manifest.data, {id_: model.data for id_, model in models.items()}, attempt
    )
    if isinstance(found, progress.Waiting):
        return waiting(found.reason, found.message, record, requeue_after=_LOOK_AGAIN)
    if isinstance(found, progress.Running):
        return Outcome(
            State.RUNNING,
            "Building",
            found.message,
            record,
            fields={"progress": found.progress},
            requeue_after=log_keeper.PAUSE_SECONDS,
        )
    if isinstance(found, Failure):
        return await _failed(ctx, record, found, attempt)
    await _end(
        ctx, record, State.SUCCEEDED, {labels.IMAGE_LOCATION: found.location, labels.IMAGE_RELEASED: None}
    )
    return _succeeded(record)


def _not_supported(ctx: Context, manifest: Revision) -> Failure | None:
    try:
        base_image(manifest.data, ctx.settings)
    except NotOfferedError as error:
        return Failure(ErrorResponse(code=error.code, message=str(error), status_code=400))
    asked = builder(manifest.data, ctx.settings)
    if asked not in ctx.settings.build.builders:
        return Failure(
            ErrorResponse(
                code="BuilderNotOffered",
                message=f"properties.builder {asked} is not offered here: leave it out, or ask for"
                " build.docker.enabled in the chart",
                status_code=400,
            )
        )
    return None


async def _failed(ctx: Context, record: Revision, failure: Failure, attempt: int) -> Outcome:
    """Record the failure, then rest."""
    noted = {
        labels.ATTEMPTS: str(attempt),
        labels.RETRY: "true" if failure.transient else None,
    }
    await _end(ctx, record, State.FAILED, noted, failure.error)
    return _failed_outcome(ctx, record) or failed(failure.error.code, failure.error.message, record)


async def _end(
    ctx: Context,
    record: Revision,
    state: State,
    noted: Mapping[str, str | None],
    error: ErrorResponse | None = None,
) -> None:
    """Record the end, good or bad; the Services that wait for it go on."""
    await revisions.end(ctx, record, state, error=error, noted=noted)
    for dependent in ctx.cache.objects.dependents(record.key):
        ctx.queue.add(dependent)


def _failed_outcome(ctx: Context, record: Revision) -> Outcome | None:
    """A failed version: for good, or until the next attempt is due; None when it is due now."""
    error = ErrorResponse.model_validate(record.error)
    attempts = _attempts(record)
    if labels.RETRY not in record.annotations or attempts >= ctx.settings.build.attempts:
        return failed(error.code, error.message, record, error=error)
    seconds = min(ctx.settings.build.retry_seconds * 2 ** (attempts - 1), _LONGEST_PAUSE)
    pause = dt.timedelta(seconds=seconds)
    left = (parse_timestamp(record.annotations[labels.ENDED]) + pause - ctx.now()).total_seconds()
    if left <= 0:
        return None
    message = f"{error.message} (attempt {attempts} of {ctx.settings.build.attempts}; it is tried again)"
    return failed(error.code, message, record, error=error, retrying=True, requeue_after=left + 0.5)


def _attempts(record: Revision | None) -> int:
    """How many attempts of a version's build have ended."""
    return int(record.annotations.get(labels.ATTEMPTS, 0)) if record else 0


def _succeeded(record: Revision) -> Outcome:
    return Outcome(State.SUCCEEDED, "Built", f"{record.id} is in the registry as {record.location}", record)


def _fields(record: Revision | None) -> dict[str, str | None]:
    if record is None:
        return {}
    log = record.annotations.get(labels.BUILD_LOG)
    return {
        "manifestId": record.data["manifestId"],
        "imageLocation": record.location,
        "imageBuildLogUri": CONFIG_MAPS.path(record.key.namespace, log) if log else None,
    }
