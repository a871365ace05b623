"""Children of a Service in a real cluster: refused pods, and the drain of a node with broken replicas."""

from __future__ import annotations

import base64
import json
import os
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import pytest
from tests.support.cluster import Json, Kubectl, eventually

from modelyard.api import labels
from modelyard.api.access_keys import missing_keys
from modelyard.api.owners import Owner
from modelyard.api.service import ServiceSpec
from modelyard.reconcile.objects import RolloutStatus
from modelyard.reconcile.rollout import REFUSED, assess_rollout
from modelyard.resources import serving
from modelyard.resources.pod_template import ScoringImage
from modelyard.settings import ScoringSettings

OWNER: Final = Owner("Service", "m", "00000000-0000-0000-0000-000000000000")
SPEC: Final = ServiceSpec(image_id="m", num_replicas=2)
ABSENT_IMAGE: Final = "registry.invalid/m@sha256:" + "a" * 64


@pytest.fixture
def kubectl(kubeconfig: object) -> Iterator[Kubectl]:
    """Kubectl in a namespace of its own."""
    kubectl = Kubectl(f"refusals-{uuid.uuid4().hex[:8]}")
    kubectl("create", "namespace", kubectl.namespace)
    yield kubectl
    kubectl("delete", "namespace", kubectl.namespace, "--wait=false")


def without_owner(body: Json) -> Json:
    """Return a child without its owner reference: the garbage collector deletes children of absent owners."""
    del body["metadata"]["ownerReferences"]
    return body


def deployment(image: str = ABSENT_IMAGE) -> Json:
    return without_owner(serving.deployment(OWNER, SPEC, ScoringImage(image), ScoringSettings()))


def quota(**hard: str) -> Json:
    spec = {"hard": {name.replace("_", "."): value for name, value in hard.items()}}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "limit"}, "spec": spec}


def limit_range() -> Json:
    spec = {"limits": [{"type": "Container", "min": {"memory": "1Gi"}}]}
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "limit"}, "spec": spec}


def injected(body: Json) -> None:
    """Change the pods as a mutating webhook may: they then violate the Pod Security Standard `restricted`."""
    body["spec"]["template"]["spec"]["hostNetwork"] = True


def unchanged(body: Json) -> None:
    """Leave the pods as they are."""


def choosing(**settings: str) -> Callable[[Json], None]:
    """Return a change of pods that refer to a class or ServiceAccount, as `spec.pod` does."""
    return lambda body: body["spec"]["template"]["spec"].update(settings)


@pytest.mark.parametrize(
    ("policy", "change", "words"),
    [
        (quota(pods="0"), unchanged, "exceeded quota: limit"),
        (quota(limits_cpu="8"), unchanged, "must specify limits.cpu"),
        (limit_range(), unchanged, "minimum memory usage per Container is 1Gi"),
        (None, injected, 'violates PodSecurity "restricted'),
        (None, choosing(priorityClassName="absent"), "no PriorityClass with name absent was found"),
        (None, choosing(runtimeClassName="absent"), 'RuntimeClass "absent" not found'),
        (None, choosing(serviceAccountName="absent"), 'serviceaccount "absent" not found'),
    ],
    ids=[
        *("quota of pods", "quota of limits", "limit range", "pod security"),
        *("priority class", "runtime class", "service account"),
    ],
)
def test_refused_pods_are_in_the_status_of_the_deployment(
    kubectl: Kubectl, policy: Json | None, change: Callable[[Json], None], words: str
) -> None:
    enforced = "pod-security.kubernetes.io/enforce=restricted"
    kubectl("label", "namespace", kubectl.namespace, enforced)
    if policy:
        kubectl.apply(policy)
        _settled(kubectl, policy)
    body = deployment()
    change(body)
    kubectl.apply(body)

    def status() -> RolloutStatus:
        return RolloutStatus.read(kubectl.get("deployment", "m"))

    eventually(lambda: bool(status().refused), 60, "the Deployment reports refused pods")
    assert words in status().refused
    assert assess_rollout(status(), SPEC, None).reason == REFUSED
    if policy:
        kubectl("delete", policy["kind"], "limit")
        eventually(lambda: not status().refused, 60, "the pods are admitted")


def _settled(kubectl: Kubectl, policy: Json) -> None:
    """Wait until the API server enforces a quota: one without a status does not count pods yet."""
    if policy["kind"] == "ResourceQuota":
        found = lambda: kubectl.get("resourcequota", "limit").get("status", {}).get("hard")  # noqa: E731
        eventually(lambda: bool(found()), 60, "the quota has a status")


def test_replicas_that_are_not_ready_do_not_block_a_drain(kubectl: Kubectl) -> None:
    keys = {name: base64.b64encode(b"k").decode() for name in missing_keys({})}
    kubectl.apply(without_owner(serving.keys(OWNER)) | {"data": keys})
    kubectl.apply(without_owner(serving.disruption_budget(OWNER)))
    # The program of this image ends at once, so its pods run again and again and never become ready.
    kubectl.apply(deployment(os.environ["PYTHON_BASE_IMAGE"]))
    selector = ",".join(f"{key}={value}" for key, value in labels.selector_of("m").items())

    def running() -> list[str]:
        return [
            pod["metadata"]["name"]
            for pod in kubectl.list("pods", selector)
            if pod["status"]["phase"] == "Running"
        ]

    eventually(lambda: len(running()) == 2, 60, "both replicas run")
    for pod in running():
        eventually(partial(_evicted, kubectl, pod), 60, f"{pod} is evicted")


def _evicted(kubectl: Kubectl, pod: str) -> bool:
    """Evict a pod, and return False for 429: the API server's answer if the pod changes at the same moment.

    A drain retries each 5 s then.
    """
    eviction = {
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": pod, "namespace": kubectl.namespace},
    }  # fmt: skip
    path = f"/api/v1/namespaces/{kubectl.namespace}/pods/{pod}/eviction"
    try:
        kubectl("create", "--raw", path, "--filename=-", stdin=json.dumps(eviction))
    except RuntimeError as error:
        if "TooManyRequests" not in str(error):
            raise
        return False
    return True
