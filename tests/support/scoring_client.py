"""A pod in the cluster that sends scoring requests through core Services, as applications do."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from typing import Final

from tests.support.cluster import Json, Kubectl, operator_image

REQUESTS: Final = 3
"""Requests to each Service, over new connections, so that kube-proxy chooses a pod for each."""

_SCRIPT: Final = """\
import json, sys, urllib.error, urllib.request

def score(url, key):
    request = urllib.request.Request(url, b"{}", {"Authorization": "Bearer " + key})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        return f"status {error.code}"
    except OSError as error:
        return f"no response: {error}"

asked = json.load(sys.stdin)
print(json.dumps({name: [score(url, key) for _ in range(asked["requests"])]
                  for name, (url, key) in asked["services"].items()}))
"""


class ScoringClient:
    """A pod in the namespace of the Services. A killed API server ends no connection between requests."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._name = f"client-{uuid.uuid4().hex[:6]}"
        container = {"name": "client", "image": operator_image(), "command": ["sleep", "infinity"]}
        spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
        kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": self._name}, "spec": spec})
        kubectl("wait", f"pod/{self._name}", "--for=condition=Ready", "--timeout=60s", timeout=70)

    def delete(self) -> None:
        """Delete the pod."""
        self._kubectl("delete", "pod", self._name)

    def responses(self, services: Iterable[Json]) -> dict[str, set[str]]:
        """Return the distinct responses of each Service by name. An error is a text with its status."""
        asked = {}
        for service in services:
            name = service["metadata"]["name"]
            key = self._kubectl.secret(f"{name}-keys")["primaryKey"]
            asked[name] = (service["status"]["scoringUri"], key)
        question = json.dumps({"requests": REQUESTS, "services": asked})
        command = ("exec", "--stdin", self._name, "--", "python3", "-c", _SCRIPT)
        found = json.loads(self._kubectl(*command, stdin=question, timeout=120))
        return {name: set(map(str, responses)) for name, responses in found.items()}
