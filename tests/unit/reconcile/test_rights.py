"""The operator's rights in the chart: the API server in memory allows nothing else, and none is unused."""

from __future__ import annotations

import copy
from typing import Final

from tests.unit.chart_rights import Right, rights
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import OperatorHarness, image, manifest, model, service, source_secret

from modelyard.api import labels
from modelyard.api.kinds import KINDS
from modelyard.api.names import SOURCE
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.errors import Unavailable
from modelyard.kube.types import (
    AUTOSCALERS,
    CORE_SERVICES,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    HTTP_ROUTES,
    INGRESSES,
    JOBS,
    PODS,
    REVISIONS,
    SECRETS,
    SERVICE_ACCOUNTS,
    Json,
)
from modelyard.reconcile.builds.identities import ROLE_ARN
from modelyard.settings import HistorySettings, IdentitySettings, OperatorSettings, RoutingSettings

KOPF: Final = {
    Right(verb, CUSTOM_RESOURCES[kind.name].qualified) for kind in KINDS for verb in ("list", "watch")
}
"""Rights that kopf uses, over its own client."""
ARN: Final = "arn:aws:iam::123456789012:role/models"
SCALED: Final = {"autoscaleEnabled": True, "minReplicas": 2, "maxReplicas": 3}


def lose_first_responses(harness: OperatorHarness) -> None:
    """Lose the response to the first creation of each resource, so the operator reads what it created."""
    lost: set[str] = set()

    def lose(_: int, call: Call) -> None:
        if call.verb == "create" and call.resource not in lost:
            lost.add(call.resource)
            raise Unavailable("the connection broke")

    harness.cluster.lost = lose


def make_legacy(harness: OperatorHarness) -> None:
    """Create all ControllerRevisions again in the form of release 0.2.0, which no patch can change."""
    for body in harness.cluster.all(REVISIONS):
        data = dict(reversed(body["data"].items()))
        harness.cluster.write_legacy_data(copy.deepcopy(body) | {"data": data})


def put_pod(harness: OperatorHarness, name: str, container: Json) -> None:
    template = harness.cluster.at(DEPLOYMENTS, "m")["spec"]["template"]
    annotations = {labels.TEMPLATE_HASH: template["metadata"]["annotations"][labels.TEMPLATE_HASH]}
    metadata = {"name": name, "labels": labels.selector_of("m"), "annotations": annotations}
    status = {"containerStatuses": [{"name": "scoring", "image": "i"} | container]}
    harness.cluster.put(PODS, "default", {"metadata": metadata, "status": status})


def put_pod_without_volume(harness: OperatorHarness) -> None:
    put_pod(harness, "m-0", {"state": {"waiting": {"reason": "ContainerCreating"}}})


def put_crashing_pod(harness: OperatorHarness) -> None:
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    last = {"terminated": {"exitCode": 3}}
    put_pod(harness, "m-1", {"state": state, "restartCount": 2, "lastState": last})
    harness.cluster.logs["m-1"] = "ImportError"


async def live_a_whole_life(harness: OperatorHarness) -> None:
    """Build, serve, scale, repair, fail, and remove old versions."""
    lose_first_responses(harness)
    harness.settings = OperatorSettings(
        history=HistorySettings(limit=2), identity=IdentitySettings(enabled=True), resync_seconds=600
    )
    await harness.start()
    harness.cluster.put(SECRETS, "default", source_secret(token="x"))
    labelled = {"name": "reader", "labels": {SOURCE: "true"}, "annotations": {ROLE_ARN: ARN}}
    harness.cluster.put(SERVICE_ACCOUNTS, "default", {"metadata": labelled})
    harness.apply(model("n", url="s3://b/k", serviceAccountName="reader"), manifest("n", modelIds=["n"]))
    harness.apply(image("n", manifestId="n"))
    await harness.play()
    harness.apply(
        model(url="https://h/?a&b", secretRef={"name": "store"}),
        manifest(),
        image(),
        service(autoScaler=SCALED),
    )
    await harness.play(seconds=30, alone=True)
    (job,) = (body["metadata"]["name"] for body in harness.cluster.all(JOBS) if "status" not in body)
    harness.start_pod(job, "[Fetch] a\n")
    await harness.play(seconds=30, alone=True)
    harness.end_pod(job, {"exitCode": 1})
    await harness.play()
    for resource in (CORE_SERVICES, AUTOSCALERS, DISRUPTION_BUDGETS):
        harness.cluster.change(resource, "default", "m", {"spec": None})
    harness.cluster.change(SECRETS, "default", "m-keys", {"data": None})
    await harness.play(seconds=30_000)
    harness.change("Service", autoScaler={"autoscaleEnabled": False}, numReplicas=1)
    await harness.play()
    for number in range(2, 6):
        harness.change("Model", url=f"https://h/?a&{number}")
        await harness.play()
    for body in harness.cluster.all(REVISIONS):
        harness.cluster.orphan(REVISIONS, "default", body["metadata"]["name"])
    await harness.play()
    make_legacy(harness)
    harness.change("Model", description="x<y")
    await harness.play()
    harness.serves = False
    harness.change("Model", url="https://h/6")
    await harness.play(seconds=1)
    put_pod_without_volume(harness)
    await harness.play(seconds=10, alone=True)
    put_crashing_pod(harness)
    await harness.play(seconds=2000)
    harness.cluster.change(SECRETS, "default", "m-keys", {"data": {"primaryKey": None}})
    await harness.play()


async def live_with_routes(kind: str) -> set[tuple[bool, Right]]:
    """Publish a Service, repair its route and remove it; return the rights that were used."""
    harness = OperatorHarness()
    lose_first_responses(harness)
    routing = {"kind": kind, "host": "{service}.example.com", "gateway": {"name": "g", "namespace": "infra"}}
    harness.settings = OperatorSettings(routing=RoutingSettings.model_validate(routing))
    await harness.start()
    harness.apply(model(), manifest(), image(), service())
    await harness.play()
    resource = HTTP_ROUTES if kind == "HTTPRoute" else INGRESSES
    harness.cluster.change(resource, "default", "m", {"spec": {"rules": []}})
    await harness.play()
    harness.change("Service", route={"enabled": False})
    await harness.play()
    await harness.stop()
    return harness.cluster.used


async def test_operator_uses_each_right_that_the_chart_gives() -> None:
    harness = OperatorHarness()
    await live_a_whole_life(harness)
    await harness.stop()
    routed = {right for kind in ("HTTPRoute", "Ingress") for right in await live_with_routes(kind)}
    for is_own in (False, True):
        used = {right for own, right in harness.cluster.used | routed if own == is_own}
        unused = rights(own_namespace=is_own) - used - KOPF
        assert sorted(unused) == [], f"rights in {'its own namespace' if is_own else 'namespaces of users'}"
