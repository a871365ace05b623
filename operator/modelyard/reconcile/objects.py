"""Read models of objects in the cluster: the fields that the operator uses, parsed from the API's JSON."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

from modelyard.api import labels
from modelyard.api.conditions import find_condition, is_true, true_since
from modelyard.api.kinds import IMAGE
from modelyard.api.names import REGISTRATION, ROLL_ON_UPGRADE
from modelyard.api.owners import Owner
from modelyard.api.status import State
from modelyard.kube.types import Json, Key
from modelyard.reconcile.routes.route_status import RouteStatus
from modelyard.reconcile.timestamps import parse_timestamp

_ORPHAN: Final = "orphan"  # finalizer: k8s.io/apimachinery/pkg/apis/meta/v1, FinalizerOrphanDependents
_FLAGS: Final = {"true": True, "false": False}
# A kubelet reports the end of a pod within seconds after it killed the containers.
_END_REPORT: Final = dt.timedelta(seconds=15)
_NO_REPORT: Final = RouteStatus()
_DEADLINE_EXCEEDED: Final = "ProgressDeadlineExceeded"
_REPLACED: Final = "NewReplicaSetAvailable"
_REPLICA_SET_NUMBER: Final = "deployment.kubernetes.io/revision"


class DesiredHash(NamedTuple):
    """Hash of a desired child, and the inputs, other than the owner's spec, that the child was built from."""

    inputs: str
    hash: str


@dataclass(slots=True)
class CustomObject:
    """A Model, Manifest, Image or Service."""

    key: Key
    uid: str
    generation: int
    resource_version: int
    registration: str | None
    deleting: bool
    spec: Json  # without `has_whole_spec` only the references to other objects
    status: Json
    orphaning: bool = False  # being deleted with `--cascade=orphan`
    has_whole_spec: bool = True
    # A deletion event of a child or revision hints that the object itself may be deleted, too.
    needs_refetch: bool = False
    desired_hashes: dict[str, DesiredHash] = field(default_factory=dict)  # by plural of the child's resource
    roll_on_upgrade: bool | None = None  # annotation of a Service, None without one
    created: str = ""  # RFC 3339

    @classmethod
    def read(cls, kind: str, body: Json) -> Self:
        """Parse a custom resource as the API server sends it."""
        metadata = body["metadata"]
        return cls(
            key=Key(kind, metadata["namespace"], metadata["name"]),
            uid=metadata["uid"],
            generation=metadata["generation"],
            resource_version=int(metadata["resourceVersion"]),
            registration=metadata.get("annotations", {}).get(REGISTRATION),
            deleting="deletionTimestamp" in metadata,
            orphaning="deletionTimestamp" in metadata and _ORPHAN in metadata.get("finalizers", ()),
            spec=body.get("spec", {}),
            status=body.get("status", {}),
            roll_on_upgrade=_FLAGS.get(metadata.get("annotations", {}).get(ROLL_ON_UPGRADE)),
            created=metadata.get("creationTimestamp", ""),
        )

    @property
    def state(self) -> State | None:
        """State of the newest version's operation in the cached status, None before the first status."""
        return State(self.status["state"]) if "state" in self.status else None

    def has_condition(self, type_: str) -> bool:
        """Return True if a condition is `True` in the cached status."""
        return is_true(type_, self.status)

    def condition(self, type_: str) -> Json | None:
        """Return a condition of the cached status, None if the status has none of this type."""
        return find_condition(type_, self.status)


class RolloutStatus(NamedTuple):
    """Generation, status and replica counts of a Deployment."""

    generation: int = 0
    observed: int = 0
    desired: int = 0
    replicas: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0
    available_since: str = ""  # time of the last change of the condition Available, empty unless it is True
    overdue: str = ""  # message of the condition Progressing once progressDeadlineSeconds have passed
    refused: str = ""  # message of the condition ReplicaFailure: the reason why a pod cannot be created
    paused: bool = False
    template_generation: int = 0  # generation at the last known change of the pod template
    replaced_since: str = ""  # time at which the last rollout had replaced all replicas, empty without one

    @property
    def rolling(self) -> bool:
        """True while replicas of another pod template are replaced, False while the Deployment only scales.

        A Deployment keeps old replicas until new ones are available: it has more replicas than updated ones.
        """
        return self.observed < self.template_generation or self.replicas > self.updated

    @classmethod
    def read(cls, body: Json) -> Self:
        """Parse a Deployment as the API server sends it."""
        status = body.get("status", {})
        return cls(
            generation=body["metadata"].get("generation", 0),
            observed=status.get("observedGeneration", 0),
            desired=body["spec"].get("replicas", 0),
            replicas=status.get("replicas", 0),
            updated=status.get("updatedReplicas", 0),
            ready=status.get("readyReplicas", 0),
            available=status.get("availableReplicas", 0),
            available_since=true_since("Available", status) or "",
            # Other reasons of Progressing change during a rollout, and would start needless reconciles.
            overdue=_condition_message(status, "Progressing", _DEADLINE_EXCEEDED),
            # The Deployment controller removes the condition once its ReplicaSets can create all pods.
            refused=_condition_message(status, "ReplicaFailure"),
            paused=body["spec"].get("paused", False),
            replaced_since=_replaced_since(body),
        )


def _replaced_since(body: Json) -> str:
    """Return the time at which the newest ReplicaSet of a Deployment had replaced the one before.

    The Deployment controller numbers the ReplicaSets. The first one replaces none.
    """
    number = body["metadata"].get("annotations", {}).get(_REPLICA_SET_NUMBER, "1")
    condition = find_condition("Progressing", body.get("status", {}))
    if number == "1" or condition is None or condition.get("reason") != _REPLACED:
        return ""
    since: str = condition.get("lastUpdateTime", "")
    return since


def _condition_message(status: Json, type_: str, reason: str | None = None) -> str:
    """Return the message of a Deployment's condition, an empty string without one of this type and reason."""
    condition = find_condition(type_, status)
    if condition and reason in {None, condition.get("reason")}:
        return condition.get("message") or condition.get("reason") or type_
    return ""


@dataclass(slots=True)
class Child:
    """An object that the operator created for a custom resource."""

    uid: str
    owner_uid: str
    resource_version: int
    applied_hash: str | None  # hash of the desired object at the last write
    in_sync: bool = True  # False if another client may have changed the child since the last write
    rollout: RolloutStatus = field(default_factory=RolloutStatus)
    route: RouteStatus = _NO_REPORT  # of an HTTPRoute or an Ingress

    @classmethod
    def read(cls, owner: Owner, body: Json, cached: Child | None) -> Self:
        """Parse a child of this owner. A body without a status takes the status of the cached child."""
        metadata = body["metadata"]
        generation = metadata.get("generation", 0)
        previous, route = RolloutStatus(template_generation=generation), _NO_REPORT
        if cached and cached.uid == metadata["uid"]:
            previous = cached.rollout
        if "status" in body:
            rollout = RolloutStatus.read(body)._replace(template_generation=previous.template_generation)
            route = RouteStatus.read(body)
        else:
            rollout = previous._replace(generation=generation)
            if cached and previous.generation == generation:
                route = cached.route
        return cls(
            uid=metadata["uid"],
            owner_uid=owner.uid,
            resource_version=int(metadata["resourceVersion"]),
            applied_hash=metadata.get("annotations", {}).get(labels.APPLIED_HASH),
            rollout=rollout,
            route=route,
        )


class BuildJob(NamedTuple):
    """A build Job of an Image."""

    name: str
    uid: str
    image: Key
    version: int
    attempt: int
    reference: str  # registry/path:tag that the build pushes to; empty for a Job of an older operator
    complete: bool  # the Job or its pod succeeded
    failed: bool
    reason: str  # reason of the condition Failed
    pushed: bool = False  # the log of the build reports the push
    started: bool = False  # the builder's container has run
    created: dt.datetime | None = None

    @property
    def ended(self) -> bool:
        """True if the Job has a result."""
        return self.complete or self.failed

    @classmethod
    def read(cls, body: Json) -> Self | None:
        """Parse a Job as the API server sends it; return None for a Job that builds no image."""
        metadata = body["metadata"]
        annotations = metadata.get("annotations", {})
        if labels.BUILD_IMAGE not in annotations:
            return None
        namespace, _, name = annotations[labels.BUILD_IMAGE].partition("/")
        conditions = body.get("status", {}).get("conditions", ())
        ended = {condition["type"]: condition for condition in conditions if condition["status"] == "True"}
        failure = ended.get("Failed", {})
        return cls(
            name=metadata["name"],
            uid=metadata["uid"],
            image=Key(IMAGE.name, namespace, name),
            version=int(annotations[labels.BUILD_VERSION]),
            attempt=int(annotations[labels.BUILD_ATTEMPT]),
            reference=annotations.get(labels.BUILD_REFERENCE, ""),
            complete="Complete" in ended,
            failed=bool(failure),
            reason=failure.get("reason", ""),
            created=parse_timestamp(created) if (created := metadata.get("creationTimestamp")) else None,
        )


class LeavingPod(NamedTuple):
    """A pod of a build that is being deleted, and whose containers have not ended."""

    name: str
    job: str
    node: str
    deadline: dt.datetime  # the kubelet kills the containers by then
    cause: str  # the message of the condition DisruptionTarget, empty without one

    def has_lost_node(self, now: dt.datetime) -> bool:
        """Return True if the kubelet of the node should have reported the end of the pod."""
        return now >= self.deadline + _END_REPORT


class BuildSnapshot(NamedTuple):
    """The last observation of a running build."""

    first: dt.datetime  # time of the first observation
    time: dt.datetime
    stored_log: str  # the log in the ConfigMap; empty if none could be stored
    progress: str  # a sentence for the status
