"""Diagnosis of pods that do not become ready: a pure function of their status."""

from __future__ import annotations

from typing import Final, NamedTuple

from modelyard.kube.types import Json

# Reasons of a waiting container, set by the kubelet: pkg/kubelet/images/types.go, kuberuntime_container.go
_IMAGE_PULL: Final = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
_CONFIGURATION: Final = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_CRASH: Final = "CrashLoopBackOff"
_DRIVER_EXIT: Final = 3  # exit code of the scoring runtime if the driver's import or init() fails


class Diagnosis(NamedTuple):
    """The reason why a pod does not become ready."""

    code: str
    message: str
    pod: str
    terminal: bool  # the pod does not recover without a change of the Service or the cluster
    crashed: bool = False  # the log of the previous container has the cause


def diagnose_pods(pods: list[Json]) -> Diagnosis | None:
    """Return the first terminal diagnosis of the pods, else the first of any kind, else None."""
    diagnoses = [diagnosis for pod in pods if (diagnosis := _diagnose(pod))]
    return max(diagnoses, key=lambda diagnosis: diagnosis.terminal, default=None)


def _diagnose(pod: Json) -> Diagnosis | None:
    name = pod["metadata"]["name"]
    status = pod.get("status", {})
    for container in status.get("containerStatuses", ()):
        waiting = container["state"].get("waiting", {})
        reason, detail = waiting.get("reason", ""), waiting.get("message", "")
        if reason in _IMAGE_PULL:
            message = f"pod {name} cannot pull {container['image']}: {detail or reason}"
            # The kubelet retries a pull once before it backs off; the first failure may be transient.
            return Diagnosis("ImagePullFailed", message, name, terminal=reason != "ErrImagePull")
        if reason in _CONFIGURATION:
            message = f"pod {name} cannot start: {detail or reason}"
            return Diagnosis("ContainerNotStarted", message, name, terminal=True)
        ended = container.get("lastState", {}).get("terminated") or container["state"].get("terminated")
        if ended and (reason == _CRASH or container.get("restartCount", 0) > 1):
            return Diagnosis("ContainerCrashed", _crash(name, ended), name, terminal=True, crashed=True)
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            message = f"no node has room for pod {name}: {condition.get('message', '')}"
            return Diagnosis("Unschedulable", message, name, terminal=False)
    return None


def _crash(name: str, ended: Json) -> str:
    if ended.get("reason") == "OOMKilled":
        return f"pod {name} ran out of memory: raise containerResourceReservation.memory"
    if ended["exitCode"] == _DRIVER_EXIT:
        return f"pod {name}: importing the driver or its init() failed; details has the end of the log"
    return f"pod {name} ended with exit code {ended['exitCode']}; details has the end of its log"
