"""The namespace of a team with three versions of a chain, and Services that serve each of them."""

from __future__ import annotations

import json
import time
from typing import Any, Final

from tests.support.cluster import KINDS, Json, Kubectl
from tests.support.objects import MODEL_DRIVER, image, manifest, model, service
from tests.support.operator import SYSTEM
from tests.support.scoring_client import ScoringClient
from tests.support.status import wait_for_status

OURS: Final = "app.kubernetes.io/managed-by=modelyard"
NAME: Final = "m"
# The garbage collector deletes an object whose owner does not exist within seconds.
SETTLE_SECONDS: Final = 15.0
_CHAIN: Final = ("mdl", "mft", "img", "msvc")
_FIELDS: Final = ("id", "version", "imageId", "imageLocation", "manifestId", "modelIds", "state")


class Team:
    """A namespace in one cluster."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.kubectl = kubectl

    def create_three_versions(self) -> None:
        """Serve three versions: the third by the name of the Image, the first and the second by a pin."""
        self.kubectl("create", "namespace", self.kubectl.namespace)
        self.kubectl.apply(
            model(NAME, "data:,1"), manifest(NAME, MODEL_DRIVER, NAME), image(NAME),
            service(NAME, NAME, autoScaler={"autoscaleEnabled": True, "minReplicas": 1, "maxReplicas": 2}),
        )  # fmt: skip
        self._wait_for_version(1)
        for version in (2, 3):
            self._edit(version)
            self.kubectl.apply(service(f"pinned-{version - 1}", f"{NAME}:{version - 1}"))
        self._wait_until_ready()

    def state(self) -> dict[str, Any]:
        """Return all that a move keeps, once all objects are Ready."""
        self._wait_until_ready()
        revisions = self.kubectl.list("controllerrevisions", OURS)
        return {
            "status": {
                f"{item['kind']} {item['metadata']['name']}": {
                    field: item["status"][field] for field in _FIELDS if field in item["status"]
                }
                for item in self.kubectl.list(KINDS)
            },
            "versions": {item["metadata"]["name"]: (item["revision"], item["data"]) for item in revisions},
            "records": {
                item["metadata"]["name"]: item["metadata"].get("annotations", {}) for item in revisions
            },
            "keys": {item["metadata"]["name"]: item["data"] for item in self.kubectl.list("secrets", OURS)},
            "responses": self._responses(),
        }

    def check_moved(self, before: Json) -> None:
        """Check the state against that of the other cluster, also after the garbage collector has run."""
        self.check_unchanged(before)
        time.sleep(SETTLE_SECONDS)
        self.check_unchanged(before)
        present = {item["metadata"]["uid"] for item in self.kubectl.list(KINDS)}
        for item in self.kubectl.list("controllerrevisions,secrets,deployments", OURS):
            owners = {owner["uid"] for owner in item["metadata"].get("ownerReferences", ())}
            assert owners and owners <= present, f"{item['kind']} {item['metadata']['name']} has {owners}"
        assert self._builds() == [], "a move builds nothing"

    def check_unchanged(self, before: Json) -> None:
        """Check that the state is that of another moment or cluster."""
        after = self.state()
        for part, value in before.items():
            assert after[part] == value, f"{part}: {json.dumps([value, after[part]], indent=2)}"

    def check_next_version(self) -> None:
        """Check that an edit is version 4, and that pinned Services go on with their versions."""
        before = self._responses()
        self._edit(4)
        assert self._responses() == before | {NAME: {"4"}}

    def delete(self) -> None:
        """Delete the namespace, and wait for its end."""
        self.kubectl(
            "delete", "namespace", self.kubectl.namespace, "--ignore-not-found", "--timeout=90s", timeout=100
        )

    def _edit(self, version: int) -> None:
        self.kubectl.patch("mdl", NAME, {"spec": {"url": f"data:,{version}"}})
        self._wait_for_version(version)

    def _wait_for_version(self, version: int) -> None:
        for kind in _CHAIN:
            wait_for_status(self.kubectl, kind, NAME, 120, state="Succeeded", version=version)

    def _wait_until_ready(self) -> None:
        self.kubectl("wait", "--for=condition=Ready", KINDS, "--all", "--timeout=180s", timeout=190)

    def _responses(self) -> dict[str, set[str]]:
        """Return the responses of each Service, from a pod of the namespace."""
        client = ScoringClient(self.kubectl)
        try:
            return client.responses(self.kubectl.list("msvc"))
        finally:
            client.delete()

    def _builds(self) -> list[str]:
        """Return the build Jobs of the namespace in the cluster of the environment."""
        prefix = f"{self.kubectl.namespace}/"
        return [
            job["metadata"]["name"]
            for job in SYSTEM.list("jobs")
            if job["metadata"].get("annotations", {}).get("modelyard.dev/image", "").startswith(prefix)
        ]
