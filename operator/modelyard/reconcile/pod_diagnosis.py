"""Why pods do not come up: a pure reading of their status."""

from __future__ import annotations

from typing import Final, NamedTuple

from modelyard.kube.types import Json

_IMAGE_PULL: Final = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
_CONFIGURATION: Final = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_CRASH: Final = "CrashLoopBackOff"
_DRIVER_EXIT: Final = 3  # the runtime's exit code when the driver cannot be imported or init() fails


class Diagnosis(NamedTuple):
    """What keeps a pod from serving. `terminal`: waiting longer will not help by itself."""

    code: str
    message: str
    pod: str
    terminal: bool
    crashed: bool = False  # the log of its last run says why


def diagnose_pods(pods: list[Json]) -> Diagnosis | None:
    """The gravest cause among pods; None when they are only slow."""
    causes = [cause for pod in pods if (cause := _cause(pod))]
    return max(causes, key=lambda cause: cause.terminal, default=None)


def _cause(pod: Json) -> Diagnosis | None:
    name = pod["metadata"]["name"]
    status = pod.get("status", {})
    for container in status.get("containerStatuses", ()):
        waits = container["state"].get("waiting", {})
        reason, detail = waits.get("reason", ""), waits.get("message", "")
        if reason in _IMAGE_PULL:
            return Diagnosis(
                "ImagePullFailed",
                f"pod {name} cannot pull {container['image']}: {detail or reason}",
                name,
                terminal=reason != "ErrImagePull",
            )
        if reason in _CONFIGURATION:
            return Diagnosis(
                "ContainerNotStarted", f"pod {name} cannot start: {detail or reason}", name, terminal=True
            )
        ended = container.get("lastState", {}).get("terminated") or container["state"].get("terminated")
        if ended and (reason == _CRASH or container.get("restartCount", 0) > 1):
            return Diagnosis("ContainerCrashed", _crash(name, ended), name, terminal=True, crashed=True)
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Diagnosis(
                "Unschedulable",
                f"no room for pod {name}: {condition.get('message', '')}",
                name,
                terminal=False,
            )
    return None


def _crash(name: str, ended: Json) -> str:
    if ended.get("reason") == "OOMKilled":
        return f"pod {name} ran out of memory: raise containerResourceReservation.memory"
    if ended["exitCode"] == _DRIVER_EXIT:
        return f"pod {name}: importing the driver or its init() failed; details has the end of the log"
    return f"pod {name} ended with exit code {ended['exitCode']}; details has the end of its log"
