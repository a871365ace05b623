"""Reports about data collection: the state that the side-cars of a Service tell, as its condition."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from modelyard.contract.collection_pod import CONTAINER, PORT
from modelyard.kube.types import Json, Key
from modelyard.reconcile.outcome import Condition

WORKING: Final = "Working"
NO_COLLECTOR: Final = "NoCollector"
_NO_RECORDS: Final = "NoRecords"
_PAUSE: Final = dt.timedelta(minutes=10)
_REBUILD: Final = (
    " The scoring runtime in the image may be older than data collection. Give the annotation"
    " modelyard.dev/registration of the Image a new value, which builds the image again"
)


class CollectorState(NamedTuple):
    """The state that a side-car tells."""

    is_working: bool
    reason: str  # one CamelCase word
    message: str


class Collector(NamedTuple):
    """A running pod of a Service, and the address of its side-car."""

    pod: str
    address: str  # empty for a pod without a side-car


def running_collectors(pods: list[Json]) -> list[Collector]:
    """Return the running pods that are not being deleted, without those whose side-car is about to start."""
    found = []
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"])):
        metadata, status = pod["metadata"], pod.get("status", {})
        if "deletionTimestamp" in metadata or status.get("phase") != "Running" or not status.get("podIP"):
            continue
        names = [container["name"] for container in pod.get("spec", {}).get("initContainers", ())]
        if CONTAINER not in names:
            found.append(Collector(metadata["name"], ""))
        elif _runs(status):
            found.append(Collector(metadata["name"], status["podIP"]))
    return found


def _runs(status: Json) -> bool:
    """Return whether the side-car of a pod has started."""
    return any(
        container["name"] == CONTAINER and "running" in container.get("state", {})
        for container in status.get("initContainerStatuses", ())
    )


def summarize(answers: dict[Collector, CollectorState | str]) -> Condition:
    """Return the condition of a Service by the answers of its side-cars, of which a text is an error."""
    states = {pod.pod: answer for pod, answer in answers.items() if isinstance(answer, CollectorState)}
    degraded = {pod: state for pod, state in states.items() if not state.is_working}
    if degraded:
        pod, state = min(degraded.items(), key=lambda item: (item[1].reason, item[0]))
        hint = _REBUILD if state.reason == _NO_RECORDS else ""
        return False, state.reason, f"replica {pod}: {state.message}{_ended(state.message)}{hint}"
    if states:
        return True, WORKING, "the records of the replicas reach their destination"
    errors = {pod: answer for pod, answer in answers.items() if pod.address and isinstance(answer, str)}
    if errors:
        pod_, error = min(errors.items())
        return (
            None,
            "NoAnswer",
            f"the collector of replica {pod_.pod} does not answer on port {PORT}: {error}. A NetworkPolicy of"
            " the namespace must let the operator connect to this port",
        )
    if answers:
        return (
            False,
            NO_COLLECTOR,
            "the pods have no collector: they were started before data collection was offered. A new version"
            ' of the Service, or its annotation modelyard.dev/roll-on-upgrade: "true", replaces them',
        )
    return None, "NoReplica", "no replica runs, so there are no records"


def _ended(message: str) -> str:
    return "" if message.endswith((".", "!", "?")) else "."


@dataclass
class CollectionReports:
    """The last report about each Service that collects records."""

    _reports: dict[Key, tuple[Condition, dt.datetime]] = field(default_factory=dict)

    def get(self, key: Key) -> Condition | None:
        """Return the condition of a Service, None before its first report."""
        found = self._reports.get(key)
        return found[0] if found else None

    def store(self, key: Key, condition: Condition, now: dt.datetime) -> bool:
        """Store a report; return whether the condition of the Service changes.

        A message that changes without status and reason replaces the last one after 10 minutes: it may have
        another pod or number each time.
        """
        if found := self._reports.get(key):
            before, since = found
            if condition == before or (condition[:2] == before[:2] and now - since < _PAUSE):
                return False
        self._reports[key] = condition, now
        return True

    def forget(self, key: Key) -> None:
        """Remove a Service that was deleted or collects no more records."""
        self._reports.pop(key, None)
