"""Alerts of the platform on a real Prometheus, each by a fault of the API server, a client or the rights.

test_watch.py has the alerts of a team's own Services, and test_release_alerts.py those that need another
release. While an alert fires, the commands of its runbook show the cause.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import uuid
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import httpx
import pytest
from tests.support.admission import admission_hook, applied, refusal
from tests.support.cluster import OPERATOR_NAMESPACE, Json, Kubectl, operator_image, port_forward
from tests.support.faults import needs_own_cluster, packets_dropped
from tests.support.objects import model, service
from tests.support.operator import kill_operator, operator_pod
from tests.support.prometheus import RULES, Prometheus, at_once, job_of_monitor, until
from tests.support.release import monitors
from tests.support.runbooks import expect_alerts
from tests.support.status import wait_for_status

pytestmark = needs_own_cluster

# A shorter wait, so that minutes become seconds.
SHORTER: Final = {"ModelyardQueueStuck": ("> 120", "> 2")}
CAUSES: Final = {
    "ModelyardChildContested": "kubectl-patch",
    "ModelyardServiceReplicasMissing": "anti-affinity",
    "ModelyardReconcileErrors": "not here",
    "ModelyardQueueStuck": "tests-controllerrevisions",
    "ModelyardNamespaceSetAside": "No resources found",
    "ModelyardGatewayErrors": "failed calling webhook",
}
"""Alerts of this file, each with a text that the commands of its runbook print."""
CONTESTED: Final = [f"contested-{number}" for number in range(12)]
FIRST: Final = {"modelyard_repairs_total", "modelyard_gateway_info"}
UNREACHABLE: Final = "127.0.0.1:1"
DROPPED: Final = "192.0.2.1"
"""An address for documentation (RFC 5737); the node drops packets to it."""


class SecondOperator(NamedTuple):
    """The namespace that an operator watches, and the job of Prometheus that scrapes the operator."""

    watched: str
    job: Json


@pytest.fixture(scope="module")
def prometheus(
    installed: None, second: SecondOperator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Prometheus with the monitors of the chart, a second operator, and alerts that fire after seconds."""
    jobs = [second.job, *(job_of_monitor(monitor) for monitor in monitors())]
    folder = tmp_path_factory.mktemp("prometheus")
    with Prometheus(folder, jobs, at_once(RULES, SHORTER)) as running:
        # Counters need a sample from before the fault.
        until(lambda: {name for name in FIRST if not running.query(name)}, "metrics are not scraped")
        yield running


@pytest.fixture(scope="module")
def second(namespace: Callable[[], Kubectl]) -> SecondOperator:
    """Start an operator without rights in the one namespace that it watches."""
    kubectl, watched = namespace(), namespace().namespace
    account = f"--serviceaccount={kubectl.namespace}:default"
    kubectl("create", "rolebinding", "builds", "--clusterrole=edit", account)
    settings = {"namespace": kubectl.namespace, "watchNamespaces": [watched]}
    kubectl("create", "configmap", "settings", f"--from-literal=settings.yaml={json.dumps(settings)}")
    container = {
        "name": "operator",
        "image": operator_image(),
        "args": ["operator"],
        "env": [{"name": "MODELYARD_CONFIG", "value": "/settings/settings.yaml"}],
        "ports": [{"name": "metrics", "containerPort": 8080}],
        "volumeMounts": [{"name": "settings", "mountPath": "/settings"}],
    }
    spec = {
        "containers": [container],
        "volumes": [{"name": "settings", "configMap": {"name": "settings"}}],
        "terminationGracePeriodSeconds": 0,
    }
    kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "operator"}, "spec": spec})
    discovery = {"role": "pod", "namespaces": {"names": [kubectl.namespace]}}
    job = {
        "job_name": "second",
        "honor_labels": True,
        "kubernetes_sd_configs": [discovery],
        "relabel_configs": [],
    }
    return SecondOperator(watched, job)


@pytest.fixture(scope="module")
def team(shared: Kubectl) -> Iterator[Kubectl]:
    """A Service without room for one replica, and Services whose children other clients may change."""
    # Replicas on different nodes, one more than there are nodes.
    terms = [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "apart"}}}]
    apart: Json = {
        "labels": {"app": "apart"},
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}},
    }
    lacking = service("lacking", "one", pod=apart, numReplicas=int(os.environ["CLUSTER_NODES"]) + 1)
    shared.apply(lacking, *(service(name, "one", numReplicas=0) for name in CONTESTED))
    for name in CONTESTED:
        wait_for_status(shared, "msvc", name, 120, state="Succeeded")
    yield shared
    shared("delete", "msvc", "lacking", *CONTESTED, "--wait=false")
    kill_operator()  # counted errors end with the process: test_steady.py expects none
    operator_pod()


def causes_of(*names: str) -> dict[str, str]:
    """Return the entries of CAUSES for alerts, whose names are given without `Modelyard`."""
    return {f"Modelyard{name}": CAUSES[f"Modelyard{name}"] for name in names}


def test_alerts_fire_for_changed_children_missing_replicas_and_refused_status(
    team: Kubectl, prometheus: Prometheus
) -> None:
    causes = causes_of("ChildContested", "ServiceReplicasMissing", "ReconcileErrors")
    children = [f"service/{name}" for name in CONTESTED]
    numbers = itertools.count()

    def change() -> None:
        team("patch", *children, "--type=merge", "--patch", '{"spec": {"type": "NodePort"}}')
        team.apply(model("refused", f"http://example.com/{next(numbers)}"))

    with applied(team, *refusal(team.namespace, "refused")):
        expect_alerts(prometheus, causes, team.namespace, repeat=change)
        team("delete", "mdl", "refused", "--wait=false")


def test_queue_behind_a_slow_admission_hook_raises_an_alert(team: Kubectl, prometheus: Prometheus) -> None:
    slow = admission_hook(
        team.namespace,
        f"https://{DROPPED}/",
        "apps/controllerrevisions",
        timeoutSeconds=5,
        failurePolicy="Ignore",
    )
    names = [f"queued-{number}" for number in range(40)]  # more than there are workers
    numbers = itertools.count()

    def change() -> None:
        url = f"http://example.com/{next(numbers)}"
        team.apply(*(model(name, url) for name in names))

    with packets_dropped("OUTPUT", "--destination", DROPPED), applied(team, slow):
        expect_alerts(prometheus, causes_of("QueueStuck"), repeat=change)
    team("delete", "mdl", *names, "--wait=false")


@contextlib.contextmanager
def gateway_client(kubectl: Kubectl) -> Iterator[httpx.Client]:
    """Yield a client of the REST API with the rights of an editor; the base URL is that of the account."""
    kubectl("create", "serviceaccount", "caller")
    account = f"--serviceaccount={kubectl.namespace}:caller"
    kubectl("create", "rolebinding", "caller", "--clusterrole=edit", account)
    token = kubectl("create", "token", "caller").strip()
    with (
        port_forward(OPERATOR_NAMESPACE, "service/modelyard-gateway", 80) as url,
        httpx.Client(
            base_url=f"{url}/api/subscriptions/s/resourceGroups/g/accounts/{kubectl.namespace}",
            params={"api-version": "2017-09-01-preview"},
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        ) as client,
    ):
        yield client
    kubectl("delete", "serviceaccount/caller", "rolebinding/caller")


def create_services(client: httpx.Client) -> None:
    """Send requests that create Services, more than the least rate of the alert."""
    for _ in range(20):
        body = {"name": f"refused-{uuid.uuid4().hex[:8]}", "imageId": "one:1", "numReplicas": 0}
        client.post("/services", json=body | {"computeResource": {"type": "Cluster"}})


def test_alerts_fire_for_a_denied_namespace_and_a_broken_admission_hook(
    team: Kubectl, second: SecondOperator, prometheus: Prometheus
) -> None:
    causes = causes_of("NamespaceSetAside", "GatewayErrors")
    broken = admission_hook(team.namespace, f"https://{UNREACHABLE}/", "modelyard.dev/services")
    with applied(team, broken), gateway_client(team) as client:
        expect_alerts(prometheus, causes, second.watched, repeat=lambda: create_services(client))
