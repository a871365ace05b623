"""Image: each version of its manifest is built once, or found in the registry by the hash of its inputs."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
from collections.abc import Mapping
from typing import Final

from modelyard.api.image import ImageSpec
from modelyard.api.kinds import MANIFEST, MODEL
from modelyard.api.status import ErrorResponse, State
from modelyard.kube.types import CONFIG_MAPS, JOBS
from modelyard.reconcile import build, build_log, retention, versions
from modelyard.reconcile.build import Failure
from modelyard.reconcile.context import Context, parse_timestamp
from modelyard.reconcile.known import Item, Record
from modelyard.reconcile.outcome import Outcome, failed, waiting
from modelyard.reconcile.queue import Key
from modelyard.resources import labels
from modelyard.resources.build_request import NotOfferedError, base_image, builder

_LOG: Final = logging.getLogger(__name__)
_LOOK_AGAIN: Final = 15.0  # seconds until Secrets and models, of which no event tells, are looked for again
_LONGEST_PAUSE: Final = 600.0  # seconds between two attempts


async def reconcile(ctx: Context, item: Item) -> Outcome:
    """Resolve the manifest, record the version, cancel older builds, then see this one through."""
    outcome = await _phases(ctx, item)
    return dataclasses.replace(outcome, fields={**_fields(outcome.record), **outcome.fields})


async def _phases(ctx: Context, item: Item) -> Outcome:
    spec = ImageSpec.model_validate(item.spec)
    manifest = versions.resolve(ctx, MANIFEST, item.key.namespace, spec.manifest_id)
    if isinstance(manifest, str):
        newest = ctx.store.newest(item.key)
        return waiting("ManifestNotFound", manifest, newest)
    content = versions.content_of(spec, item, manifestId=manifest.id)
    record = await versions.ensure(ctx, item, content)
    settled = _settled(ctx, record)
    missed = retention.missed(ctx, item) if settled else None
    await _cancel(ctx, item.key, keep=missed or record)
    if settled is None:
        return await _build(ctx, item, record, manifest)
    if missed:
        return await _restore(ctx, item, missed, settled)
    await retention.give_up(ctx, item)
    return settled


def _settled(ctx: Context, record: Record) -> Outcome | None:
    """The outcome of a version that has nothing to do now."""
    if record.location:
        return _succeeded(record)
    return _rest(ctx, record) if record.state is State.FAILED else None


async def _restore(ctx: Context, item: Item, missed: Record, settled: Outcome) -> Outcome:
    """See the image of an older version built again; what is said stays that of the newest one."""
    manifest = versions.resolve(ctx, MANIFEST, item.key.namespace, missed.data["manifestId"])
    if isinstance(manifest, str):
        return settled
    outcome = _settled(ctx, missed) or await _build(ctx, item, missed, manifest)
    waits = [pause for pause in (settled.requeue_after, outcome.requeue_after) if pause is not None]
    return dataclasses.replace(settled, requeue_after=min(waits, default=None))


async def forget(ctx: Context, key: Key) -> None:
    """The Image has gone, its builds go too: nothing collects them across namespaces."""
    await _cancel(ctx, key, keep=None)


async def _cancel(ctx: Context, key: Key, keep: Record | None) -> None:
    """Delete the build Jobs of other versions, and one of an earlier attempt that is still at work."""
    for job in ctx.store.jobs(key):
        is_old = keep is None or job.version != keep.version
        if is_old or (job.attempt <= _attempts(keep) and not (job.complete or job.failed)):
            _LOG.info("cancelling build %s of %s", job.name, key)
            await ctx.client.delete(JOBS, ctx.settings.namespace, job.name, uid=job.uid)
            ctx.store.drop_job(job.name)


async def _build(ctx: Context, item: Item, record: Record, manifest: Record) -> Outcome:
    if (refusal := _not_supported(ctx, manifest)) is not None:
        return await _failed(ctx, record, refusal, attempt=1)
    models: dict[str, Record] = {}
    for id_ in manifest.data["modelIds"]:
        model = versions.resolve(ctx, MODEL, item.key.namespace, id_)
        if isinstance(model, str):
            return waiting("ModelNotFound", model, record, requeue_after=_LOOK_AGAIN)
        models[id_] = model
    attempt = _attempts(record) + 1
    progress = await build.advance(
        ctx, item, record, manifest.data, {id_: model.data for id_, model in models.items()}, attempt
    )
    if isinstance(progress, build.Waiting):
        return waiting(progress.reason, progress.message, record, requeue_after=_LOOK_AGAIN)
    if isinstance(progress, build.Running):
        return Outcome(
            State.RUNNING,
            "Building",
            progress.message,
            record,
            fields={"progress": progress.progress},
            requeue_after=build_log.PAUSE_SECONDS,
        )
    if isinstance(progress, Failure):
        return await _failed(ctx, record, progress, attempt)
    await _end(
        ctx, record, State.SUCCEEDED, {labels.IMAGE_LOCATION: progress.location, labels.GIVEN_UP: None}
    )
    return _succeeded(record)


def _not_supported(ctx: Context, manifest: Record) -> Failure | None:
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


async def _failed(ctx: Context, record: Record, failure: Failure, attempt: int) -> Outcome:
    """Record the failure, then rest."""
    noted = {
        labels.ATTEMPTS: str(attempt),
        labels.RETRY: "true" if failure.transient else None,
    }
    await _end(ctx, record, State.FAILED, noted, failure.error)
    return _rest(ctx, record) or failed(failure.error.code, failure.error.message, record)


async def _end(
    ctx: Context,
    record: Record,
    state: State,
    noted: Mapping[str, str | None],
    error: ErrorResponse | None = None,
) -> None:
    """Record the end, good or bad; the Services that wait for it go on."""
    await versions.end(ctx, record, state, error=error, noted=noted)
    for dependent in ctx.store.dependents(record.key):
        ctx.queue.add(dependent)


def _rest(ctx: Context, record: Record) -> Outcome | None:
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


def _attempts(record: Record | None) -> int:
    """How many attempts of a version's build have ended."""
    return int(record.annotations.get(labels.ATTEMPTS, 0)) if record else 0


def _succeeded(record: Record) -> Outcome:
    return Outcome(State.SUCCEEDED, "Built", f"{record.id} is in the registry as {record.location}", record)


def _fields(record: Record | None) -> dict[str, str | None]:
    if record is None:
        return {}
    log = record.annotations.get(labels.BUILD_LOG)
    return {
        "manifestId": record.data["manifestId"],
        "imageLocation": record.location,
        "imageBuildLogUri": CONFIG_MAPS.path(record.key.namespace, log) if log else None,
    }
