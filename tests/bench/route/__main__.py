"""Response times through each Gateway of the cluster, beside those of the pod and of its core Service.

The client is a pod, so that all paths begin at the same place. It sends one request at a time over one
connection, and changes the path every `--requests` requests. `make bench-route` starts Traefik and Envoy.
"""

from __future__ import annotations

import argparse
import json
import os
import uuid
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tests.bench.machine import describe
from tests.bench.progress import say
from tests.support.cluster import Kubectl, eventually, operator_image
from tests.support.objects import constant_driver, image, manifest, service
from tests.support.status import wait_for_status

from modelyard.api.owners import Owner
from modelyard.resources.routing import Address, http_route
from modelyard.settings import GatewayReference, RoutingSettings

NAME: Final = "bench"
DOMAIN: Final = ".models.localhost"
"""Domain of the certificate of both Gateways."""
CLIENT: Final = Path(__file__).with_name("client.py")


def deploy(kubectl: Kubectl) -> None:
    """Create a Service whose driver does nothing, and wait until it serves."""
    kubectl.apply(manifest(NAME, constant_driver("x")), image(NAME), service(NAME, NAME))
    wait_for_status(kubectl, "msvc", NAME, 600, state="Succeeded")


def targets(kubectl: Kubectl) -> dict[str, str]:
    """Return name → URL of the pod, of the core Service, and of each Gateway, whose HTTPRoute it creates."""
    (pod,) = kubectl.ready_pods(f"modelyard.dev/service={NAME}")
    core_ip = kubectl.get("service", NAME)["spec"]["clusterIP"]
    found = {"pod": f"http://{pod['status']['podIP']}:5001/score", "core_service": f"http://{core_ip}/score"}
    owner = Owner("Service", NAME, kubectl.get("msvc", NAME)["metadata"]["uid"])
    for gateway in json.loads(kubectl("get", "gateways", "--all-namespaces", "--output", "json"))["items"]:
        plane, metadata = gateway["spec"]["gatewayClassName"], gateway["metadata"]
        reference = GatewayReference(name=metadata["name"], namespace=metadata["namespace"])
        route = http_route(owner, Address(plane + DOMAIN, "/"), RoutingSettings(gateway=reference))
        route["metadata"]["name"] = f"{NAME}-{plane}"
        kubectl.apply(route)
        found[plane] = f"https://{plane}{DOMAIN}:{gateway['spec']['listeners'][0]['port']}/score"
    return found


def measured(kubectl: Kubectl, found: dict[str, str], rounds: int, requests: int) -> dict[str, list[float]]:
    """Return the milliseconds of each request to each target, from a pod."""
    ca = Path(os.environ["HTTPS_CA"]).read_text(encoding="utf-8")
    data = {"client.py": CLIENT.read_text(encoding="utf-8"), "ca.crt": ca}
    settings = {"TARGETS": json.dumps(found), "CA": "/client/ca.crt", "ROUNDS": rounds, "REQUESTS": requests}
    container = {
        "name": "client",
        "image": operator_image(),
        "command": ["python3", "/client/client.py"],
        "env": [
            {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": f"{NAME}-keys", "key": "primaryKey"}}},
            *({"name": name, "value": str(value)} for name, value in settings.items()),
        ],
        "volumeMounts": [{"name": "client", "mountPath": "/client"}],
    }
    # Both Gateways listen on ports of the node.
    (node,) = (pod["status"]["hostIP"] for pod in kubectl.ready_pods(f"modelyard.dev/service={NAME}"))
    hosts = [host for url in found.values() if (host := urlsplit(url).hostname or "").endswith(DOMAIN)]
    spec = {
        "hostAliases": [{"ip": node, "hostnames": hosts}],
        "restartPolicy": "OnFailure",  # a data plane reports a route shortly before it serves the route
        "containers": [container],
        "volumes": [{"name": "client", "configMap": {"name": "client"}}],
    }
    kubectl.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "client"}, "data": data},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"}, "spec": spec},
    )
    eventually(
        lambda: kubectl.get("pod", "client")["status"]["phase"] == "Succeeded", 900, "the client", every=2
    )
    result: dict[str, list[float]] = json.loads(kubectl("logs", "client"))
    return result


def percentile(values: list[float], percent: int) -> float:
    """Return a percentile by the nearest rank."""
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def main() -> None:
    """Run the benchmark in a new namespace."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--requests", type=int, default=300, help="of each round and target")
    arguments = parser.parse_args()
    kubectl = Kubectl(f"bench-{uuid.uuid4().hex[:8]}")
    kubectl("create", "namespace", kubectl.namespace)
    try:
        deploy(kubectl)
        found = targets(kubectl)
        say(f"{arguments.rounds} rounds of {arguments.requests} requests each to {', '.join(found)}")
        times = measured(kubectl, found, arguments.rounds, arguments.requests)
    finally:
        kubectl("delete", "namespace", kubectl.namespace, "--wait=false")
    say(describe())
    figures = (
        f"{name}={percentile(values, 50):.2f}/{percentile(values, 99):.2f}" for name, values in times.items()
    )
    print(f"route: ms p50/p99 {' '.join(figures)}")


if __name__ == "__main__":
    main()
