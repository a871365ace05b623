"""A build: found in the registry, or a Job that is started, watched, and read when it has ended."""

from __future__ import annotations

import base64
import binascii
import contextlib
import logging
from collections.abc import Mapping
from typing import Final, NamedTuple

from modelyard.api import labels
from modelyard.api.revision import Revision
from modelyard.api.status import ErrorDetail, ErrorResponse
from modelyard.coded_error import CodedError
from modelyard.contract.build_request import (
    BuildError,
    BuildRequest,
)
from modelyard.contract.scoring_runtime import runtime_version
from modelyard.kube.errors import AlreadyExists, Forbidden, Rejected
from modelyard.kube.types import JOBS, SECRETS, Json
from modelyard.metrics import BUILDS
from modelyard.oci.reference import parse_reference
from modelyard.reconcile.builds import log_keeper
from modelyard.reconcile.builds.input_hash import input_hash
from modelyard.reconcile.builds.pods import (
    pods_of,
    result_of,
    terminated,
)
from modelyard.reconcile.builds.request import (
    Credentials,
    NotOfferedError,
    build_request,
    claims_of,
    secrets_of,
)
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import BuildJob, CustomObject
from modelyard.resources.build_job import build_job, request_secret
from modelyard.resources.build_pod import BuildAttempt

_LOG: Final = logging.getLogger(__name__)


class Waiting(NamedTuple):
    """Something the build needs does not exist yet."""

    reason: str
    message: str


class Running(NamedTuple):
    """The Job is at work; `progress` says how far it is. Worth another look every few seconds."""

    message: str
    progress: str | None = None


class Built(NamedTuple):
    """The image is in the registry."""

    location: str


class Failure(NamedTuple):
    """The build failed; a transient failure is worth another attempt."""

    error: ErrorResponse
    transient: bool = False


Progress = Waiting | Running | Built | Failure


async def advance(
    ctx: Context,
    item: CustomObject,
    record: Revision,
    manifest: Json,
    models: Mapping[str, Json],
    attempt: int,
) -> Progress:
    """See attempt `attempt` of a version's build one step further."""
    job = _job_of(ctx, record, attempt)
    if job and (progress := await _progress_of(ctx, item, record, job)):
        return progress
    found = await _credentials(ctx, item.key.namespace, secrets_of(manifest, models))
    if isinstance(found, Waiting):
        return found
    request = build_request(
        item.key.namespace, item.key.name, record.data, manifest, models, ctx.settings, found
    )
    try:
        request = await _tagged(ctx, request)
        digest = await ctx.registry.digest(f"{request.repository}:{request.tag}")
    except CodedError as error:
        return Failure(_response(error.code, str(error), transient=error.transient), error.transient)
    if digest:
        BUILDS.labels(result="reused").inc()
        return Built(_location(ctx, item, digest))
    return await _start(ctx, item, record, request, attempt)


async def _progress_of(ctx: Context, item: CustomObject, record: Revision, job: BuildJob) -> Progress | None:
    """How far a Job is; None when it has still to be handed its request."""
    if job.complete or job.failed:
        return await _ended(ctx, item, record, job)
    if job.pushed and (built := await _pushed(ctx, item, record, job)):
        return built
    if await _is_handed_over(ctx, job):
        return _running(ctx, record, job.name, await log_keeper.follow(ctx, item, record, job.name))
    return None


def _job_of(ctx: Context, record: Revision, attempt: int) -> BuildJob | None:
    wanted = (record.version, attempt)
    return next(
        (job for job in ctx.cache.build_jobs.of_image(record.key) if (job.version, job.attempt) == wanted),
        None,
    )


async def _tagged(ctx: Context, request: BuildRequest) -> BuildRequest:
    """The request with the hash of its inputs as tag, and with the base image that the hash speaks of."""
    digest = await ctx.registry.digest(request.base_image)
    # A base image that is in no registry may still be in the engine; the builder finds out.
    tag = input_hash(request, digest or request.base_image, runtime_version())
    base = str(parse_reference(request.base_image).at(digest)) if digest else request.base_image
    return request.model_copy(update={"tag": tag, "base_image": base})


def _location(ctx: Context, item: CustomObject, digest: str) -> str:
    registry = ctx.settings.registry
    return f"{registry.pull_name}/{registry.repository}/{item.key.namespace}/{item.key.name}@{digest}"


async def _start(
    ctx: Context, item: CustomObject, record: Revision, request: BuildRequest, attempt: int
) -> Progress:
    namespace, name = item.key.namespace, item.key.name
    try:
        claims = claims_of(request, namespace, ctx.settings)
    except NotOfferedError as error:
        return Failure(_response(error.code, str(error)))
    job = labels.job_name(item.uid, record.version, attempt)
    reference = f"{request.repository}:{request.tag}"
    build = BuildAttempt(
        job, f"{namespace}/{name}", record.version, attempt, reference, request.builder, claims
    )
    try:
        created = await ctx.client.create(JOBS, ctx.settings.namespace, build_job(build, ctx.settings))
    except AlreadyExists:
        created = await ctx.client.get(JOBS, ctx.settings.namespace, build.name)
    except Forbidden:
        raise
    except Rejected as error:
        return Failure(_response("BuildRefused", f"the build Job was refused: {error.message}"))
    ctx.cache.build_jobs.put(created)
    await _hand_over(ctx, build, created["metadata"]["uid"], request)
    _LOG.info("build %s of %s started", build.name, record.id)
    await ctx.recorder.record(item, "Building", f"building {record.id}, attempt {attempt}")
    return _running(ctx, record, build.name)


def _running(ctx: Context, record: Revision, job: str, progress: str | None = None) -> Running:
    return Running(f"building {record.id} in Job {ctx.settings.namespace}/{job}", progress)


async def _is_handed_over(ctx: Context, job: BuildJob) -> bool:
    look = ctx.cache.build_jobs.snapshot(job.name)
    return bool(look) or await ctx.client.get_or_none(SECRETS, ctx.settings.namespace, job.name) is not None


async def _hand_over(ctx: Context, build: BuildAttempt, job_uid: str, request: BuildRequest) -> None:
    """Give the Job its request, after it, so that the request goes with the Job.

    The pod waits for the Secret. An operator that was killed between the two does this again.
    """
    with contextlib.suppress(AlreadyExists):
        await ctx.client.create(SECRETS, ctx.settings.namespace, request_secret(build, job_uid, request))


async def _credentials(ctx: Context, namespace: str, names: list[str]) -> Credentials | Waiting:
    found = {}
    for name in names:
        secret = await ctx.client.get_or_none(SECRETS, namespace, name)
        if secret is None:
            return Waiting("SecretNotFound", f"waiting for Secret {name}, which does not exist")
        found[name] = {key: _text(value) for key, value in secret.get("data", {}).items()}
    return found


def _text(value: str) -> str:
    try:
        return base64.b64decode(value).decode()
    except (binascii.Error, UnicodeDecodeError):
        return value


async def _pushed(ctx: Context, item: CustomObject, record: Revision, job: BuildJob) -> Built | None:
    """The image of a build that says it has pushed it, if the registry has it."""
    try:
        digest = await ctx.registry.digest(job.reference)
    except CodedError:
        return None  # the pod's result comes all the same
    if digest is None:
        return None
    await log_keeper.finish(ctx, item, record, job.name, await pods_of(ctx, job.name))
    BUILDS.labels(result="succeeded").inc()
    return Built(_location(ctx, item, digest))


async def _ended(ctx: Context, item: CustomObject, record: Revision, job: BuildJob) -> Progress:
    pods = await pods_of(ctx, job.name)
    await log_keeper.finish(ctx, item, record, job.name, pods)
    result = result_of(pods)
    if result and result.digest:
        BUILDS.labels(result="succeeded").inc()
        return Built(_location(ctx, item, result.digest))
    BUILDS.labels(result="failed").inc()
    if result and result.error:
        return Failure(_explained(result.error), result.error.transient)
    return _unexplained(ctx, job, pods)


def _explained(error: BuildError) -> ErrorResponse:
    details = tuple(ErrorDetail(code=detail.code, message=detail.message) for detail in error.details)
    response = _response(error.code, f"{error.step}: {error.message}", transient=error.transient)
    return response.model_copy(update={"details": details})


def _unexplained(ctx: Context, job: BuildJob, pods: list[Json]) -> Failure:
    if job.reason == "DeadlineExceeded":
        minutes = ctx.settings.build.deadline_seconds / 60
        message = f"the build took longer than {minutes:g} minutes: raise the chart's build.deadlineSeconds"
        return Failure(_response("BuildDeadlineExceeded", message, status=504))
    newest = pods[-1] if pods else {}
    ended = terminated(newest)
    if ended.get("reason") == "OOMKilled":
        message = "the build ran out of memory: raise the chart's build.resources.limits.memory"
        return Failure(_response("BuildOutOfMemory", message, status=507))
    pod_status = newest.get("status", {})
    if pod_status.get("reason") == "Evicted":
        said = pod_status.get("message", "").rstrip(". ")
        message = f"the node ended the build: {said}: raise the chart's build.workspaceSize"
        return Failure(_response("BuildEvicted", message, status=507))
    how = f" (exit code {ended['exitCode']})" if "exitCode" in ended else ""
    return Failure(
        _response("BuildLost", f"the build's pod ended without a result{how}", transient=True), True
    )


def _response(
    code: str, message: str, *, transient: bool = False, status: int | None = None
) -> ErrorResponse:
    return ErrorResponse(code=code, message=message, status_code=status or (503 if transient else 400))
