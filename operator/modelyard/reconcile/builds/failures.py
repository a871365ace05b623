"""Failures of builds, as the error of an Image's status describes them."""

from __future__ import annotations

from typing import NamedTuple

from modelyard.api.status import ErrorDetail, ErrorResponse
from modelyard.coded_error import CodedError
from modelyard.contract.build_request import BuildError
from modelyard.contract.errors import InstallerKilledError
from modelyard.kube.types import Json
from modelyard.reconcile.builds.pods import disruption_of, is_running, out_of_memory, terminated
from modelyard.reconcile.builds.request import NotOfferedError
from modelyard.reconcile.memory_diagnosis import describe_limit
from modelyard.reconcile.objects import BuildJob, LeavingPod
from modelyard.reconcile.timestamps import format_timestamp


class Failure(NamedTuple):
    """A failed attempt of a build. The operator retries after a transient failure."""

    error: ErrorResponse
    transient: bool = False


def failure_of_error(error: CodedError) -> Failure:
    """Return the failure for an error of the registry or of the build's inputs."""
    return Failure(_response(error.code, str(error), transient=error.transient), error.transient)


def failure_of_refusal(error: NotOfferedError) -> Failure:
    """Return the failure for a request of something that the chart does not offer."""
    return Failure(_response(error.code, str(error)))


def failure_of_size(message: str) -> Failure:
    """Return the failure for a request that no Secret can hold."""
    return Failure(_response("BuildRequestTooLarge", message, status=413))


def failure_of_rejected_object(kind: str, message: str) -> Failure:
    """Return the failure for a build's object that the API server rejected with this message.

    The failure is transient: quotas become free, and admission policies change.
    """
    text = f"the API server rejected the build's {kind}: {message}"
    return Failure(_response("BuildRefused", text, transient=True), transient=True)


def failure_of_result(error: BuildError, pods: list[Json]) -> Failure:
    """Return the failure for an error that the builder reported, from its pods, the newest last.

    The builder sees only that the installer of packages has ended. The kubelet tells the reason.
    """
    if error.code == InstallerKilledError.code and pods and (container := out_of_memory(pods[-1])):
        return _failure_of_memory("the installation of packages", pods[-1], container)
    details = tuple(ErrorDetail(code=detail.code, message=detail.message) for detail in error.details)
    response = _response(error.code, f"{error.step}: {error.message}", transient=error.transient)
    return Failure(response.model_copy(update={"details": details}), error.transient)


def failure_without_result(
    job: BuildJob, pods: list[Json], deadline_seconds: float, *, has_log: bool = False
) -> Failure:
    """Return the failure for a Job that ended without a result, from the status of its newest pod.

    The Job controller deletes the pods of a Job that exceeds its deadline. Then `has_log`, whether the build
    has written a log, and the observation of the Job tell whether the builder has ever started.
    """
    newest = pods[-1] if pods else {}
    if (disruption := disruption_of(newest)) is not None:
        message = f"the cluster ended the build's pod: {disruption}"
        return Failure(_response("BuildInterrupted", message, transient=True), transient=True)
    if job.reason == "DeadlineExceeded":
        has_started = has_log or job.started or any(is_running(pod) or terminated(pod) for pod in pods)
        return _deadline_failure(deadline_seconds / 60, has_started=has_started)
    ended = terminated(newest)
    if container := out_of_memory(newest):
        return _failure_of_memory("the build", newest, container)
    pod_status = newest.get("status", {})
    if pod_status.get("reason") == "Evicted":
        detail = pod_status.get("message", "").rstrip(". ")
        message = f"the node ended the build: {detail}: raise the chart's build.workspaceSize"
        return Failure(_response("BuildEvicted", message, status=507))
    exit_code = f" (exit code {ended['exitCode']})" if "exitCode" in ended else ""
    message = f"the build's pod ended without a result{exit_code}"
    return Failure(_response("BuildLost", message, transient=True), transient=True)


def failure_of_lost_node(pod: LeavingPod) -> Failure:
    """Return the failure for a pod that has not ended by its deadline, so its node does not respond."""
    message = (
        f"node {pod.node} does not respond: the build's pod {pod.name} should have ended at"
        f" {format_timestamp(pod.deadline)}{_because(pod.cause)}"
    )
    return Failure(_response("BuildNodeLost", message, transient=True), transient=True)


def _failure_of_memory(subject: str, pod: Json, container: str) -> Failure:
    bound = describe_limit(pod, container)
    message = f"{subject} ran out of memory: {bound}; raise the chart's build.resources.limits.memory"
    return Failure(_response("BuildOutOfMemory", message, status=507))


def _because(cause: str) -> str:
    return f" ({cause})" if cause else ""


def _deadline_failure(minutes: float, *, has_started: bool) -> Failure:
    if has_started:
        message = f"the build took longer than {minutes:g} minutes: raise the chart's build.deadlineSeconds"
        return Failure(_response("BuildDeadlineExceeded", message, status=504))
    message = (
        f"the build's pod has not started within {minutes:g} minutes: no node had room, or it was refused"
    )
    return Failure(_response("BuildNotStarted", message, transient=True), transient=True)


def _response(
    code: str, message: str, *, transient: bool = False, status: int | None = None
) -> ErrorResponse:
    return ErrorResponse(code=code, message=message, status_code=status or (503 if transient else 400))
