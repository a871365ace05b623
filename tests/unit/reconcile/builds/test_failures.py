"""Failures of builds: the code, message and HTTP status of each, and whether the operator retries."""

from __future__ import annotations

from typing import Any, Final

import pytest

from modelyard.api.kinds import IMAGE
from modelyard.api.status import ErrorDetail
from modelyard.contract.build_request import BuildError, BuildErrorDetail, Step
from modelyard.kube.types import Json, Key
from modelyard.oci.errors import RegistryForbiddenError, RegistryUnavailableError
from modelyard.reconcile.builds.failures import (
    Failure,
    failure_of_error,
    failure_of_refusal,
    failure_of_rejected_object,
    failure_of_result,
    failure_without_result,
)
from modelyard.reconcile.builds.request import NotOfferedError
from modelyard.reconcile.objects import BuildJob

DEADLINE_SECONDS: Final = 5400.0
JOB: Final = BuildJob(
    name="j",
    uid="u",
    image=Key(IMAGE.name, "default", "m"),
    version=1,
    attempt=1,
    reference="r.example/m:t",
    complete=False,
    failed=True,
    reason="BackoffLimitExceeded",
)


def pod(*, container: str = "build", **status: Any) -> Json:
    """Return a pod whose container has terminated with this state, if any."""
    terminated = status.pop("terminated", None)
    state = {"terminated": terminated} if terminated else {"running": {}}
    return {"status": {"containerStatuses": [{"name": container, "state": state}], **status}}


def summary(failure: Failure) -> tuple[str, int | None, bool]:
    """Return the code, the HTTP status and whether the failure is transient."""
    return failure.error.code, failure.error.status_code, failure.transient


def test_transient_error_of_the_registry_is_retried() -> None:
    failure = failure_of_error(RegistryUnavailableError("r.example does not answer"))
    assert summary(failure) == (RegistryUnavailableError.code, 503, True)
    assert failure.error.message == "r.example does not answer"


def test_permanent_error_of_the_registry_is_not_retried() -> None:
    error = RegistryForbiddenError("r.example denies the push")
    error.subject = "r.example/m"
    failure = failure_of_error(error)
    assert summary(failure) == (RegistryForbiddenError.code, 400, False)
    assert failure.error.message == "r.example/m: r.example denies the push"


def test_refusal_has_the_code_of_its_cause() -> None:
    failure = failure_of_refusal(NotOfferedError("RuntimeNotSupported", "the chart offers Python"))
    assert summary(failure) == ("RuntimeNotSupported", 400, False)
    assert failure.error.message == "the chart offers Python"


def test_rejected_job_has_the_message_of_the_api_server() -> None:
    failure = failure_of_rejected_object("Job", "exceeded quota: pods=1")
    assert summary(failure) == ("BuildRefused", 503, True)
    assert failure.error.message == "the API server rejected the build's Job: exceeded quota: pods=1"


@pytest.mark.parametrize(("transient", "status"), [(False, 400), (True, 503)])
def test_error_of_the_builder_has_its_step_and_details(transient: bool, status: int) -> None:
    details = (BuildErrorDetail(code="Log", message="first"), BuildErrorDetail(code="Log", message="second"))
    error = BuildError(
        code="PipFailed", message="no such package", step=Step.BUILD, transient=transient, details=details
    )
    failure = failure_of_result(error, [])
    assert summary(failure) == ("PipFailed", status, transient)
    assert failure.error.message == f"{Step.BUILD}: no such package"
    assert failure.error.details == (
        ErrorDetail(code="Log", message="first"),
        ErrorDetail(code="Log", message="second"),
    )


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        ("InstallerKilled", "OOMKilled", ("BuildOutOfMemory", 507, False)),
        ("InstallerKilled", "Error", ("InstallerKilled", 400, False)),
        ("PipFailed", "OOMKilled", ("PipFailed", 400, False)),
    ],
)
def test_killed_installer_ran_out_of_memory_if_the_kubelet_reports_it(
    code: str, reason: str, expected: tuple[str, int, bool]
) -> None:
    error = BuildError(code=code, message="ended without a result", step=Step.BUILD)
    ended = pod(container="packages", terminated={"exitCode": 137, "reason": reason})
    failure = failure_of_result(error, [pod(), ended])
    assert summary(failure) == expected
    assert ("raise the chart's build.resources.limits.memory" in failure.error.message) is (
        expected[0] == "BuildOutOfMemory"
    )
    assert summary(failure_of_result(error, [])) == (code, 400, False)


@pytest.mark.parametrize(
    ("limits", "bound"),
    [
        ({"memory": "1Gi"}, "it reached its memory limit of 1Gi"),
        ({}, "the memory of its node was used up"),
    ],
)
@pytest.mark.parametrize("container", ["build", "packages"])
def test_build_out_of_memory_has_its_limit(container: str, limits: dict[str, str], bound: str) -> None:
    ended = pod(container=container, terminated={"exitCode": 137, "reason": "OOMKilled"})
    ended["spec"] = {"containers": [{"name": container, "resources": {"limits": limits}}]}
    failure = failure_without_result(JOB, [ended], DEADLINE_SECONDS)
    assert failure.error.message == (
        f"the build ran out of memory: {bound}; raise the chart's build.resources.limits.memory"
    )


@pytest.mark.parametrize("seconds", [5400.0, 3600.0])
def test_exceeded_deadline_names_its_minutes(seconds: float) -> None:
    job = JOB._replace(reason="DeadlineExceeded", started=True)
    failure = failure_without_result(job, [], seconds)
    assert summary(failure) == ("BuildDeadlineExceeded", 504, False)
    assert f"longer than {seconds / 60:g} minutes" in failure.error.message
    assert "build.deadlineSeconds" in failure.error.message


@pytest.mark.parametrize(
    ("job", "pods", "has_log", "code"),
    [
        (JOB, [], False, "BuildNotStarted"),
        (JOB, [{"status": {"phase": "Pending"}}], False, "BuildNotStarted"),
        (JOB._replace(started=True), [], False, "BuildDeadlineExceeded"),
        (JOB, [pod()], False, "BuildDeadlineExceeded"),
        (JOB, [pod(terminated={"exitCode": 143})], False, "BuildDeadlineExceeded"),
        (JOB, [], True, "BuildDeadlineExceeded"),
    ],
    ids=["no pod", "pending", "observed", "running", "terminated", "log"],
)
def test_deadline_counts_only_for_a_build_that_has_started(
    job: BuildJob, pods: list[Json], has_log: bool, code: str
) -> None:
    job = job._replace(reason="DeadlineExceeded")
    failure = failure_without_result(job, pods, DEADLINE_SECONDS, has_log=has_log)
    assert failure.error.code == code
    assert failure.transient is (code == "BuildNotStarted")


@pytest.mark.parametrize("reason", ["DeadlineExceeded", "BackoffLimitExceeded"])
def test_pod_of_a_lost_node_is_a_transient_failure(reason: str) -> None:
    condition = {"type": "DisruptionTarget", "status": "True", "message": "node n is unreachable"}
    lost = pod(conditions=[condition])
    failure = failure_without_result(JOB._replace(reason=reason, started=True), [lost], DEADLINE_SECONDS)
    assert summary(failure) == ("BuildInterrupted", 503, True)
    assert "node n is unreachable" in failure.error.message


@pytest.mark.parametrize(
    ("pods", "code", "status", "transient", "words"),
    [
        (
            [pod(terminated={"exitCode": 137, "reason": "OOMKilled"})],
            "BuildOutOfMemory", 507, False, "build.resources.limits.memory",
        ),
        (
            [pod(reason="Evicted", message="Usage of EmptyDir volume exceeds 1Gi. ")],
            "BuildEvicted", 507, False, "volume exceeds 1Gi: raise the chart's build.workspaceSize",
        ),
        ([pod(reason="Evicted")], "BuildEvicted", 507, False, "build.workspaceSize"),
        (
            [pod(terminated={"exitCode": 1, "reason": "Error"})],
            "BuildLost", 503, True, "ended without a result (exit code 1)",
        ),
        (
            [pod(terminated={"exitCode": 0, "reason": "Completed"})],
            "BuildLost", 503, True, "ended without a result (exit code 0)",
        ),
        ([pod()], "BuildLost", 503, True, "ended without a result"),
        ([{}], "BuildLost", 503, True, "ended without a result"),
        ([], "BuildLost", 503, True, "ended without a result"),
    ],
    ids=["memory", "evicted", "no message", "error", "completed", "running", "new pod", "no pod"],
)  # fmt: skip
def test_job_without_result_has_the_reason_of_its_pod(
    pods: list[Json], code: str, status: int, transient: bool, words: str
) -> None:
    failure = failure_without_result(JOB, pods, DEADLINE_SECONDS)
    assert summary(failure) == (code, status, transient)
    assert words in failure.error.message


def test_newest_pod_decides_the_failure_of_a_job() -> None:
    out_of_memory = pod(terminated={"exitCode": 137, "reason": "OOMKilled"})
    ended = pod(terminated={"exitCode": 1, "reason": "Error"})
    assert failure_without_result(JOB, [out_of_memory, ended], DEADLINE_SECONDS).error.code == "BuildLost"
    assert (
        failure_without_result(JOB, [ended, out_of_memory], DEADLINE_SECONDS).error.code == "BuildOutOfMemory"
    )


def test_state_of_an_injected_container_is_ignored() -> None:
    sidecar = pod(container="istio-proxy", terminated={"exitCode": 137, "reason": "OOMKilled"})
    assert failure_without_result(JOB, [sidecar], DEADLINE_SECONDS).error.code == "BuildLost"
