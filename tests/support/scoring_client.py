"""A pod in the cluster that sends scoring requests through core Services, as applications do."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterable
from typing import Final

from tests.support.cluster import Json, Kubectl, eventually, operator_image

REQUESTS: Final = 3
"""Requests to each Service, over new connections, so that kube-proxy chooses a pod for each."""

PATIENCE_SECONDS: Final = 60
"""Time for all requests of one call, in which some are repeated.

A busy replica may refuse a request. The DNS of the cluster and kube-proxy may learn of a Service late, on a
loaded machine or after a kill of the API server. So a request without a connection is repeated if the Service
had a ready endpoint before the first request.
"""

_SERVICE: Final = "kubernetes.io/service-name"
_SCRIPT: Final = """\
import json, socket, sys, time, urllib.error, urllib.request

def score(url, key, is_ready):
    request = urllib.request.Request(url, b"{}", {"Authorization": "Bearer " + key})
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            text = f"status {error.code}: {error.read(200).decode()}"
            passes = error.code == 503 and "Overloaded" in text
        except OSError as error:
            text = f"no response: {error}"
            reason = getattr(error, "reason", None)  # there is one until the request is sent
            passes = isinstance(reason, socket.gaierror) or bool(reason and is_ready)
        if not passes or time.monotonic() > end:
            return text
        time.sleep(0.2)

asked = json.load(sys.stdin)
end = time.monotonic() + asked["seconds"]
print(json.dumps({name: [score(*one) for _ in range(asked["requests"])]
                  for name, one in asked["services"].items()}))
"""


class ScoringClient:
    """A pod in the namespace of the Services. A killed API server ends no connection between requests."""

    def __init__(self, kubectl: Kubectl, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._kubectl = kubectl
        self._patience = patience_seconds
        self._name = f"client-{uuid.uuid4().hex[:6]}"
        container = {"name": "client", "image": operator_image(), "command": ["sleep", "infinity"]}
        spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
        # Pods of a new namespace are refused until its ServiceAccount exists.
        account = ("serviceaccount", "default")
        eventually(lambda: kubectl.get_or_none(*account), 60, "the namespace has a ServiceAccount")
        kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": self._name}, "spec": spec})
        kubectl("wait", f"pod/{self._name}", "--for=condition=Ready", "--timeout=180s", timeout=190)

    def delete(self) -> None:
        """Delete the pod."""
        self._kubectl("delete", "pod", self._name)

    def responses(self, services: Iterable[Json]) -> dict[str, set[str]]:
        """Return the distinct responses of each Service by name. An error is a text with its status."""
        found = json.loads(self._kubectl("get", "secrets,endpointslices", "--output", "json"))["items"]
        keys = {item["metadata"]["name"]: item.get("data", {}) for item in found if item["kind"] == "Secret"}
        ready = {item["metadata"]["labels"][_SERVICE] for item in found if _has_ready_endpoint(item)}
        asked = {}
        for service in services:
            name = service["metadata"]["name"]
            key = base64.b64decode(keys[f"{name}-keys"]["primaryKey"]).decode()
            asked[name] = (service["status"]["scoringUri"], key, name in ready)
        question = json.dumps({"requests": REQUESTS, "seconds": self._patience, "services": asked})
        command = ("exec", "--stdin", self._name, "--", "python3", "-c", _SCRIPT)
        answer = json.loads(self._kubectl(*command, stdin=question, timeout=self._patience + 120))
        return {name: set(map(str, responses)) for name, responses in answer.items()}


def _has_ready_endpoint(item: Json) -> bool:
    return any(endpoint["conditions"].get("ready") for endpoint in item.get("endpoints") or ())
