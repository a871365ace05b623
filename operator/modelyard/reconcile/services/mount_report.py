"""Diagnosis of a pod whose volumes cannot be mounted, which the kubelet reports by events only."""

from __future__ import annotations

from typing import Final

from modelyard.kube.types import EVENTS, PODS, Json
from modelyard.reconcile.context import Context
from modelyard.reconcile.pod_diagnosis import Diagnosis

# Reasons of events of the kubelet and of the attach controller: pkg/kubelet/events/event.go, pkg/volume/util
_MOUNT_FAILURES: Final = {"FailedMount", "FailedAttachVolume"}
_MAX_NOTE_CHARACTERS: Final = 500


async def diagnose_mounts(ctx: Context, namespace: str, pods: list[Json]) -> Diagnosis | None:
    """Return the diagnosis of the first pod whose containers are being created, None without a failure.

    The kubelet tries again, so a Secret or claim that appears later lets the rollout go on.
    """
    name = next((pod["metadata"]["name"] for pod in pods if _is_being_created(pod)), None)
    if name is None:
        return None
    selector = f"type=Warning,regarding.kind={PODS.kind},regarding.name={name}"
    events = await ctx.client.list_all(EVENTS, namespace, fieldSelector=selector)
    failures = [event for event in events if event.get("reason") in _MOUNT_FAILURES]
    newest = max(failures, key=lambda event: event["metadata"]["creationTimestamp"], default=None)
    if newest is None:
        return None
    note = newest.get("note", "")[:_MAX_NOTE_CHARACTERS]
    return Diagnosis("VolumeNotMounted", f"pod {name} cannot mount a volume: {note}", name, terminal=False)


def _is_being_created(pod: Json) -> bool:
    """Return True while the kubelet has yet to start a container of a pod."""
    if "deletionTimestamp" in pod["metadata"]:
        return False
    containers = pod.get("status", {}).get("containerStatuses", ())
    reasons = {container["state"].get("waiting", {}).get("reason") for container in containers}
    return bool(reasons & {"ContainerCreating", "PodInitializing"})
