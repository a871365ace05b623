"""Diagnosis of pods that do not become ready: a pure function of their status."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Final, NamedTuple

from modelyard.api.conditions import find_condition, is_true
from modelyard.contract import build_pod
from modelyard.kube.types import Json
from modelyard.reconcile.memory_diagnosis import describe_end, ran_out_of_memory
from modelyard.reconcile.timestamps import parse_timestamp
from modelyard.resources.architecture import ARCHITECTURE, architectures_of
from modelyard.resources.pod_template import CONTAINER
from modelyard.scoring.contract import DRIVER_FAILED

# Reasons of a waiting container, set by the kubelet: pkg/kubelet/images/types.go, kuberuntime_container.go
_IMAGE_PULL: Final = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
_CONFIGURATION: Final = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_CRASH: Final = "CrashLoopBackOff"
_OWN_CONTAINERS: Final = {CONTAINER, build_pod.CONTAINER}  # others are added by mutating webhooks
_MAX_RESTARTS: Final = 1  # one restart may have a transient cause


class Diagnosis(NamedTuple):
    """The reason why a pod does not become ready."""

    code: str
    cause: str
    pod: str
    terminal: bool  # the pod does not recover without a change of the Service or the cluster
    crashed: bool = False  # the log of the previous container has the cause
    container: str = CONTAINER
    details: str = ""  # of the error of a failed rollout, such as `the end of its log`

    @property
    def message(self) -> str:
        """Return the message of an error, whose `details` have the end of the log."""
        return f"{self.cause}; details has {self.details}" if self.details else self.cause


def diagnose_pods(pods: list[Json], since: dt.datetime | None = None) -> Diagnosis | None:
    """Return the first terminal diagnosis of the pods, else the first of any kind, else None.

    `since` is the creation time of the version's record, None if the pods belong to one version only. A pod
    that is ready or is being deleted has no diagnosis. A restart before `since` belongs to an older version.
    """
    diagnoses = [diagnosis for pod in pods if (diagnosis := _diagnose(pod, since))]
    return max(diagnoses, key=lambda diagnosis: diagnosis.terminal, default=None)


def _diagnose(pod: Json, since: dt.datetime | None) -> Diagnosis | None:
    metadata, status = pod["metadata"], pod.get("status", {})
    if "deletionTimestamp" in metadata or is_true("Ready", status):
        return None
    if status.get("phase") == "Failed":
        return _diagnose_ended(pod, since)
    for container in _unready_containers(status):
        if diagnosis := _diagnose_container(pod, container, since):
            return diagnosis
    condition = find_condition("PodScheduled", status)
    if condition and condition["status"] == "False":
        detail = condition.get("message", "")
        # A claim that is missing or not bound keeps a pod from every node, however much room there is.
        cause = "cannot schedule" if "persistentvolumeclaim" in detail.lower() else "no node has room for"
        message = f"{cause} pod {metadata['name']}: {detail}{_other_nodes(pod, detail)}"
        return Diagnosis("Unschedulable", message, metadata["name"], terminal=False)
    return None


def _other_nodes(pod: Json, detail: str) -> str:
    """Return the way out if nodes do not fit, which may have another architecture than the image."""
    architectures = " or ".join(architectures_of(pod.get("spec", {})))
    if not architectures or "node affinity/selector" not in detail:
        return ""
    return (
        f"; the image is for {architectures}: add nodes with {ARCHITECTURE}={architectures}, or build the"
        " image again for another architecture (build.platforms or build.nodeSelector of the chart)"
    )


def _diagnose_ended(pod: Json, since: dt.datetime | None) -> Diagnosis | None:
    """Return the diagnosis of a pod that was evicted, or that the kubelet rejected.

    The ReplicaSet replaces such a pod. The pod itself stays until the pod garbage collector deletes it.
    """
    if not _is_new(pod, since):
        return None
    name, status = pod["metadata"]["name"], pod["status"]
    reason = status.get("reason", "PodFailed")
    message = f"pod {name} ended with reason {reason}: {status.get('message', '')}"
    return Diagnosis("PodFailed", message, name, terminal=False)


def _is_new(pod: Json, since: dt.datetime | None) -> bool:
    return since is None or parse_timestamp(pod["metadata"]["creationTimestamp"]) >= since


def _unready_containers(status: Json) -> Iterator[Json]:
    """Yield the status of each init container and container that is not ready.

    A pod of a Service has the collector of data collection as an init container. Mutating webhooks may add
    others, e.g. for a service mesh.
    """
    for statuses in ("initContainerStatuses", "containerStatuses"):
        yield from (container for container in status.get(statuses, ()) if not container.get("ready"))


def _diagnose_container(pod: Json, container: Json, since: dt.datetime | None) -> Diagnosis | None:
    name = pod["metadata"]["name"]
    subject = f"pod {name}"
    if container["name"] not in _OWN_CONTAINERS:
        subject = f"container {container['name']} of {subject}"
    waiting = container["state"].get("waiting", {})
    reason, detail = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _IMAGE_PULL:
        message = f"{subject} cannot pull {container['image']}: {detail or reason}"
        # The kubelet retries a pull once before it backs off; the first failure may be transient.
        return Diagnosis("ImagePullFailed", message, name, terminal=reason != "ErrImagePull")
    if reason in _CONFIGURATION:
        message = f"{subject} cannot start: {detail or reason}"
        return Diagnosis("ContainerNotStarted", message, name, terminal=True)
    ended = container.get("lastState", {}).get("terminated") or container["state"].get("terminated")
    if ended and (reason == _CRASH or _restarts_too_often(container, ended, since)):
        # An older pod that runs again may become ready, since some of its restarts belong to older versions.
        terminal = reason == _CRASH or _is_new(pod, since)
        cause, details = _describe_crash(subject, pod, container["name"], ended)
        return Diagnosis(
            "ContainerCrashed",
            cause,
            name,
            terminal,
            crashed=True,
            container=container["name"],
            details=details,
        )
    return None


def _restarts_too_often(container: Json, ended: Json, since: dt.datetime | None) -> bool:
    if container.get("restartCount", 0) <= _MAX_RESTARTS:
        return False
    finished = ended.get("finishedAt")  # null if the kubelet has lost the container
    return since is None or (finished is not None and parse_timestamp(finished) >= since)


def _describe_crash(subject: str, pod: Json, container: str, ended: Json) -> tuple[str, str]:
    """Return the cause of a crash, and the details that the error of the rollout has."""
    if ran_out_of_memory(container, ended):
        return describe_end(pod, container, ended), ""
    if ended["exitCode"] == DRIVER_FAILED and container == CONTAINER:
        return f"{subject}: importing the driver or its init() failed", "the end of the log"
    return f"{subject} ended with exit code {ended['exitCode']}", "the end of its log"
