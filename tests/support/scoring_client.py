"""A pod in the cluster that sends scoring requests through core Services, as applications do."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from typing import Final

from tests.support.cluster import Json, Kubectl, eventually, operator_image

REQUESTS: Final = 3
"""Requests to each Service, over new connections, so that kube-proxy chooses a pod for each."""

PATIENCE_SECONDS: Final = 60
"""Time of all requests. One that a busy replica refuses, or whose host the DNS does not find, is repeated."""

NO_RESPONSE: Final = "no response"
"""First words of the text for a request without an HTTP response."""

_SCRIPT: Final = """\
import json, socket, sys, time, urllib.error, urllib.request

def score(url, key):
    request = urllib.request.Request(url, b"{}", {"Authorization": "Bearer " + key})
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            text = f"status {error.code}: {error.read(200).decode()}"
            passes = error.code == 503 and "Overloaded" in text
        except OSError as error:
            text = f"{asked['no_response']}: {error}"
            # The DNS of the cluster connects again to an API server that was killed.
            passes = isinstance(getattr(error, "reason", None), socket.gaierror)
        if not passes or time.monotonic() > end:
            return text
        time.sleep(0.2)

asked = json.load(sys.stdin)
end = time.monotonic() + asked["seconds"]
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
        kubectl("wait", f"pod/{self._name}", "--for=condition=Ready", "--timeout=180s", timeout=190)

    def delete(self) -> None:
        """Delete the pod."""
        self._kubectl("delete", "pod", self._name)

    def responses(self, services: Iterable[Json]) -> dict[str, set[str]]:
        """Return the distinct responses of each Service by name.

        An error is a text with its status, or a text that begins with NO_RESPONSE.
        """
        asked = {}
        for service in services:
            name = service["metadata"]["name"]
            key = self._kubectl.secret(f"{name}-keys")["primaryKey"]
            asked[name] = (service["status"]["scoringUri"], key)
        settings = {"requests": REQUESTS, "seconds": PATIENCE_SECONDS, "no_response": NO_RESPONSE}
        question = json.dumps(settings | {"services": asked})
        command = ("exec", "--stdin", self._name, "--", "python3", "-c", _SCRIPT)
        found = json.loads(self._kubectl(*command, stdin=question, timeout=3 * PATIENCE_SECONDS))
        return {name: set(map(str, responses)) for name, responses in found.items()}
