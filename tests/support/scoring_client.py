"""A pod in the cluster that sends scoring requests through core Services, as applications do."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from typing import Final

from tests.support.cluster import Json, Kubectl, eventually, operator_image

REQUESTS: Final = 3
"""Requests to each Service, over new connections, so that kube-proxy chooses a pod for each."""

ATTEMPTS: Final = 50
"""Attempts of a request that a busy replica refuses, or while the DNS does not find the host."""

_SCRIPT: Final = """\
import json, socket, sys, time, urllib.error, urllib.request

def score(url, key):
    request = urllib.request.Request(url, b"{}", {"Authorization": "Bearer " + key})
    text = ""
    for _ in range(asked["attempts"]):
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            text = f"status {error.code}: {error.read(200).decode()}"
            if error.code != 503 or "Overloaded" not in text:
                break
            time.sleep(0.2)  # the machine is slow, and the Retry-After of a second may be longer than needed
        except OSError as error:
            text = f"no response: {error}"
            if not isinstance(getattr(error, "reason", None), socket.gaierror):
                break
            time.sleep(1)  # the DNS of the cluster connects again to an API server that was killed
    return text

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
        # Pods of a new namespace are refused until its ServiceAccount exists.
        account = ("serviceaccount", "default")
        eventually(lambda: kubectl.get_or_none(*account), 60, "the namespace has a ServiceAccount")
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
        question = json.dumps({"requests": REQUESTS, "attempts": ATTEMPTS, "services": asked})
        command = ("exec", "--stdin", self._name, "--", "python3", "-c", _SCRIPT)
        found = json.loads(self._kubectl(*command, stdin=question, timeout=120))
        return {name: set(map(str, responses)) for name, responses in found.items()}
