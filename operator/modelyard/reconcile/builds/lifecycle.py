"""The life of a build: its image is found in the registry, or a Job builds it and reports a result."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final, NamedTuple

from modelyard.api import labels
from modelyard.api.revision import Revision
from modelyard.coded_error import CodedError
from modelyard.contract.build_progress import BuildTimes
from modelyard.contract.build_request import BuildRequest
from modelyard.contract.scoring_runtime import runtime_version
from modelyard.kube.errors import AlreadyExists, Conflict, Forbidden, Rejected
from modelyard.kube.types import JOBS, SECRETS, Json
from modelyard.metrics import BUILD_SECONDS, BUILDS
from modelyard.oci.reference import parse_reference
from modelyard.reconcile.builds import build_log
from modelyard.reconcile.builds.credentials import read_credentials
from modelyard.reconcile.builds.failures import (
    Failure,
    failure_of_error,
    failure_of_lost_node,
    failure_of_refusal,
    failure_of_rejected_object,
    failure_of_result,
    failure_of_size,
    failure_without_result,
)
from modelyard.reconcile.builds.identities import with_tokens
from modelyard.reconcile.builds.input_hash import input_hash
from modelyard.reconcile.builds.lookups import Pending
from modelyard.reconcile.builds.pods import find_result, list_pods
from modelyard.reconcile.builds.request import NotOfferedError, build_request, claims_of
from modelyard.reconcile.builds.request_size import size_problem
from modelyard.reconcile.builds.waiting import Waiting
from modelyard.reconcile.contents import read_content
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import BuildJob, CustomObject, LeavingPod
from modelyard.resources.build_job import build_job, packed_request, request_secret
from modelyard.resources.build_pod import BuildAttempt

_LOG: Final = logging.getLogger(__name__)


class Running(NamedTuple):
    """A build whose Job has not ended. Reconcile again after POLL_SECONDS for the next progress."""

    message: str
    progress: str | None = None


class Built(NamedTuple):
    """A build whose image is in the registry."""

    location: str  # pinned by digest
    architectures: tuple[str, ...] = ()  # of the image, such as `amd64`, empty if they are unknown
    times: BuildTimes | None = None  # None for an image that the registry had


class Queued(NamedTuple):
    """A build that waits until another one has ended."""

    place: int  # in the line, from 1


BuildState = Waiting | Queued | Pending | Running | Built | Failure


class _BuiltImage(NamedTuple):
    """An image that a build has pushed."""

    digest: str
    architectures: tuple[str, ...]


class _Found(NamedTuple):
    """The image of a request, as a lookup found it."""

    tag: str  # the hash of the inputs
    base_image: str  # with the digest that was hashed
    image: _BuiltImage | None  # with the tag, None if the registry has no such image


def place_in_line(ctx: Context, obj: CustomObject, revision: Revision) -> Queued | None:
    """Return the place of a build that has entered the line; None if it may start, or has not entered."""
    if not ctx.build_line.is_waiting(obj.key):
        return None
    place = ctx.build_line.admit(obj.key, _since(revision))
    return Queued(place) if place else None


async def advance(
    ctx: Context,
    obj: CustomObject,
    revision: Revision,
    manifest: Json,
    models: Mapping[str, Json],
    attempt: int,
) -> BuildState:
    """Take the next step of a build attempt, if one is due, and return the state of the build.

    `manifest` is the content of the Manifest's version, `models` that of each Model's version by id.
    """
    job = _find_job(ctx, revision, attempt)
    if job and (state := await _job_state(ctx, obj, revision, job)):
        return state
    credentials = await read_credentials(ctx, obj.key.namespace, manifest, models)
    if isinstance(credentials, Waiting):
        return credentials
    content = await read_content(ctx, revision)
    request = build_request(
        obj.key.namespace, obj.key.name, content, manifest, models, ctx.settings, credentials
    )
    return await _find_or_start(ctx, obj, revision, request, attempt)


async def _find_or_start(
    ctx: Context, obj: CustomObject, revision: Revision, request: BuildRequest, attempt: int
) -> BuildState:
    """Look for the image of a request in the registry; start a build if there is none."""
    token = f"{revision.owner_uid}/{revision.name}/{attempt}"
    try:
        found = ctx.lookups.poll(obj.key, token, lambda: _look_up(ctx, request))
    except CodedError as error:
        return failure_of_error(error)
    if isinstance(found, Pending):
        return found
    if found.image:
        BUILDS.labels(result="reused").inc()
        return Built(image_location(ctx, obj, found.image.digest), found.image.architectures)
    tagged = request.model_copy(update={"tag": found.tag, "base_image": found.base_image})
    return await _start(ctx, obj, revision, tagged, attempt)


async def _job_state(ctx: Context, obj: CustomObject, revision: Revision, job: BuildJob) -> BuildState | None:
    """Return the state of a Job, None if the Secret with its request has yet to be created."""
    if job.complete or job.failed:
        return await _final_state(ctx, obj, revision, job)
    if job.pushed and (built := await _pushed_image(ctx, obj, revision, job)):
        return built
    if pod := ctx.cache.build_jobs.leaving_pod(job.name):
        return _leaving_state(ctx, revision, job, pod)
    if await _has_request(ctx, job):
        return _running(ctx, revision, job.name, await build_log.update(ctx, obj, revision, job.name))
    return None


def _leaving_state(ctx: Context, revision: Revision, job: BuildJob, pod: LeavingPod) -> BuildState:
    """Return the state of a build whose pod is being deleted: running, or failed if the node is lost.

    The Job controller waits for the end of the pod before it starts another one. Nothing reads the log: the
    kubelet of a lost node does not answer.
    """
    if pod.has_lost_node(ctx.now()):
        _count(ctx, job, "failed")
        return failure_of_lost_node(pod)
    progress = f"pod {pod.name} is being deleted: {pod.cause or 'the build starts again on another node'}"
    return _running(ctx, revision, pod.job, progress)


def _find_job(ctx: Context, revision: Revision, attempt: int) -> BuildJob | None:
    """Return the Job of a build attempt, else None.

    A deleted Image of the same name may have left a Job of the same version and attempt. Only the Job's name
    differs, since it contains the UID of the Image.
    """
    name = labels.job_name(revision.owner_uid, revision.version, attempt)
    jobs = ctx.cache.build_jobs.of_image(revision.key)
    return next((job for job in jobs if job.name == name), None)


async def _look_up(ctx: Context, request: BuildRequest) -> _Found:
    """Look up the base image, whose digest is part of the tag, then the image with the tag."""
    base_digest = await ctx.registry.digest(request.base_image)
    # A base image that no registry has may be in the Docker engine of the build's node.
    tag = input_hash(request, base_digest or request.base_image, runtime_version())
    base = str(parse_reference(request.base_image).at(base_digest)) if base_digest else request.base_image
    return _Found(tag, base, await _find_built(ctx, f"{request.repository}:{tag}"))


async def _find_built(ctx: Context, reference: str) -> _BuiltImage | None:
    """Return the image with a tag, None if no build made one."""
    digest = await ctx.registry.built(reference)
    return _BuiltImage(digest, await ctx.registry.architectures(reference, digest)) if digest else None


def image_location(ctx: Context, obj: CustomObject, digest: str) -> str:
    """Return the name of the image with a digest, as nodes pull it."""
    registry = ctx.settings.registry
    return f"{registry.pull_name}/{registry.repository}/{obj.key.namespace}/{obj.key.name}@{digest}"


async def _start(
    ctx: Context, obj: CustomObject, revision: Revision, request: BuildRequest, attempt: int
) -> BuildState:
    """Enter the line of builds, and start the attempt when it is its turn."""
    namespace, name = obj.key.namespace, obj.key.name
    try:
        claims = claims_of(request, namespace, ctx.settings)
    except NotOfferedError as error:
        return failure_of_refusal(error)
    if problem := size_problem(request, packed_request(request)):
        return failure_of_size(problem)
    if place := ctx.build_line.admit(obj.key, _since(revision)):
        return Queued(place)
    job = labels.job_name(obj.uid, revision.version, attempt)
    reference = f"{request.repository}:{request.tag}"
    build = BuildAttempt(
        job, f"{namespace}/{name}", revision.version, attempt, reference, request.builder, claims
    )
    # After the wait in the line: each token is a request to the API server, and expires.
    try:
        complete = await with_tokens(ctx, request)
    except Forbidden:
        raise
    except Rejected as error:
        return failure_of_rejected_object("TokenRequest", error.message)
    return await _create(ctx, obj, revision, build, complete)


async def _create(
    ctx: Context, obj: CustomObject, revision: Revision, build: BuildAttempt, request: BuildRequest
) -> BuildState:
    """Create the Job of an attempt, then the Secret with its request."""
    packed = packed_request(request)
    if problem := size_problem(request, packed):
        return failure_of_size(problem)
    try:
        created = await ctx.client.create(JOBS, ctx.settings.namespace, build_job(build, ctx.settings))
    except AlreadyExists:
        created = await ctx.client.get(JOBS, ctx.settings.namespace, build.name)
    except Forbidden:
        raise
    except Rejected as error:
        return failure_of_rejected_object("Job", error.message)
    ctx.cache.build_jobs.put(created)
    uid = created["metadata"]["uid"]
    try:
        await _create_request(ctx, build, uid, packed)
    except Forbidden:
        raise
    except Rejected as error:
        await ctx.client.delete(JOBS, ctx.settings.namespace, build.name, uid=uid)
        ctx.cache.build_jobs.delete(build.name)
        return failure_of_rejected_object("Secret", error.message)
    _LOG.info("build %s of %s started", build.name, revision.id)
    await ctx.recorder.record(obj, "Building", f"building {revision.id}, attempt {build.attempt}")
    return _running(ctx, revision, build.name)


def _since(revision: Revision) -> str:
    """Return the time at which a build became due: a retry does not overtake the builds of newer versions."""
    return revision.annotations.get(labels.ENDED) or revision.created


def _running(ctx: Context, revision: Revision, job: str, progress: str | None = None) -> Running:
    return Running(f"building {revision.id} in Job {ctx.settings.namespace}/{job}", progress)


async def _has_request(ctx: Context, job: BuildJob) -> bool:
    """Return True if the Secret with the request of a Job exists, as it does once the build was observed.

    A Secret of a deleted Job of the same name, which the garbage collector has yet to delete, does not count.
    """
    if ctx.cache.build_jobs.snapshot(job.name):
        return True
    secret = await ctx.client.get_or_none(SECRETS, ctx.settings.namespace, job.name)
    return secret is not None and _is_owned_by(secret, job.uid)


def _is_owned_by(secret: Json, job_uid: str) -> bool:
    return any(owner["uid"] == job_uid for owner in secret["metadata"].get("ownerReferences", ()))


async def _create_request(ctx: Context, build: BuildAttempt, job_uid: str, packed: bytes) -> None:
    """Create the Secret with the request of a Job, owned by the Job so that it is deleted with it.

    The pod starts once the Secret exists. An operator that was killed between the two creations creates the
    Secret at the next reconcile. Raises Rejected if the API server rejects the Secret. Raises Conflict while
    the Secret of a deleted Job of the same name exists: the garbage collector deletes it within seconds.
    """
    namespace = ctx.settings.namespace
    try:
        await ctx.client.create(SECRETS, namespace, request_secret(build, job_uid, packed))
    except AlreadyExists:
        present = await ctx.client.get(SECRETS, namespace, build.name)
        if not _is_owned_by(present, job_uid):
            raise Conflict(f"Secret {build.name} of a deleted Job of the same name still exists") from None


async def _pushed_image(ctx: Context, obj: CustomObject, revision: Revision, job: BuildJob) -> Built | None:
    """Return the image of a build whose log reports the push, None if the registry has not confirmed it."""
    try:
        found = ctx.lookups.poll(obj.key, f"pushed by {job.uid}", lambda: _find_built(ctx, job.reference))
    except CodedError:
        return None  # the result of the pod follows in a second
    if found is None or isinstance(found, Pending):
        return None
    times = await build_log.store_final(ctx, obj, revision, job.name, await list_pods(ctx, job.name))
    _count(ctx, job, "succeeded")
    return Built(image_location(ctx, obj, found.digest), found.architectures, times)


def _count(ctx: Context, job: BuildJob, result: str) -> None:
    """Count a build that ended, and its time."""
    BUILDS.labels(result=result).inc()
    if job.created:
        BUILD_SECONDS.labels(result=result).observe((ctx.now() - job.created).total_seconds())


async def _final_state(ctx: Context, obj: CustomObject, revision: Revision, job: BuildJob) -> BuildState:
    """Return the result of a Job that has ended, once the architectures of its image are looked up."""
    pods = await list_pods(ctx, job.name)
    result = find_result(pods)
    if result and (digest := result.digest):
        try:
            architectures = ctx.lookups.poll(
                obj.key, f"ended {job.uid}", lambda: ctx.registry.architectures(job.reference, digest)
            )
        except CodedError as error:
            return failure_of_error(error)  # the next attempt finds the image in the registry
        if isinstance(architectures, Pending):
            return architectures
        times = await build_log.store_final(ctx, obj, revision, job.name, pods)
        _count(ctx, job, "succeeded")
        return Built(image_location(ctx, obj, digest), architectures, times)
    await build_log.store_final(ctx, obj, revision, job.name, pods)
    _count(ctx, job, "failed")
    if result and result.error:
        return failure_of_result(result.error, pods)
    snapshot = ctx.cache.build_jobs.snapshot(job.name)
    has_log = snapshot is not None and bool(snapshot.stored_log)
    return failure_without_result(job, pods, ctx.settings.build.deadline_seconds, has_log=has_log)
