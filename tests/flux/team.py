"""A team that keeps its models in Git, and the state of Flux."""

from __future__ import annotations

import json
from typing import Final

from tests.support.cluster import Json, Kubectl, eventually
from tests.support.flux import PATIENT
from tests.support.git_committer import GitCommitter
from tests.support.git_server import BRANCH, GitServer
from tests.support.scoring_client import ScoringClient
from tests.support.status import condition

KUSTOMIZATION: Final = "kustomizations.kustomize.toolkit.fluxcd.io"
GROUPS: Final = ("images", "services")  # the folders of chains; services depend on images
PATIENCE_SECONDS: Final = 240


class Team(GitCommitter):
    """Commits chains, and waits until Flux has judged a commit. Names of objects begin with the team's."""

    def __init__(
        self, name: str, kubectl: Kubectl, server: GitServer, client: ScoringClient, *, patient: bool
    ) -> None:
        """`patient`: the health check of Flux goes on after the first failure of an object."""
        super().__init__(name, kubectl, server, client)
        self.patient = patient

    def start(self) -> None:
        """Apply the objects of Flux: a source, and two Kustomizations of which one depends on the other."""
        source = {"interval": "1s", "url": self.server.url, "ref": {"branch": BRANCH}}
        self.kubectl.apply(
            {
                "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
                "metadata": {"name": self.name}, "spec": source,
            }
        )  # fmt: skip
        for group in GROUPS:
            spec = {
                "interval": "10m",
                "retryInterval": "5s",
                "timeout": "90s",
                "prune": True,
                "wait": True,
                "sourceRef": {"kind": "GitRepository", "name": self.name},
                "path": f"./{group}",
                "targetNamespace": self.kubectl.namespace,
                "dependsOn": [{"name": f"{self.name}-images"}] if group == "services" else [],
            }
            self.kubectl.apply(
                {
                    "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
                    "metadata": {"name": f"{self.name}-{group}", "labels": PATIENT if self.patient else {}},
                    "spec": spec,
                }
            )  # fmt: skip

    def wait_until_ready(self, sha: str, subject: str, *, repairs: str = "") -> None:
        """Wait until both Kustomizations are Ready with a commit. Raises AssertionError if one fails first.

        `repairs` is the failure that the commit repairs. Flux looks at the Image within 0.2 s after it has
        applied the Manifest. If the operator has yet to see the Manifest, Flux finds the old failure, which
        ends the health check unless the team is patient. That failure is the only one that passes.
        """
        passing = "" if self.patient else repairs

        def ready() -> bool:
            states = self.states()
            for group in GROUPS:
                self._check_not_failed(states[group], sha, subject, passing)
            return all(_applied(states[group], sha) for group in GROUPS)

        try:
            eventually(ready, PATIENCE_SECONDS, f"Flux reports the commit '{subject}' as Ready", every=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{json.dumps(self.states(), indent=2)}") from None

    def wait_until_failed(self, group: str, sha: str, subject: str) -> str:
        """Wait until a Kustomization has failed with a commit, and return the message."""

        def message() -> str:
            state = self.states()[group]
            assert not _applied(state, sha), f"Flux reports the bad commit '{subject}' as Ready"
            ready = condition(state, "Ready")
            failed = state.get("lastAttemptedRevision", "").endswith(sha) and ready.get("status") == "False"
            return ready["message"] if failed and ready["reason"] != "DependencyNotReady" else ""

        return eventually(message, PATIENCE_SECONDS, f"Flux reports '{subject}' as failed", every=0.2)

    def states(self) -> dict[str, Json]:
        """Return the status of each Kustomization by the name of its folder."""
        found = {item["metadata"]["name"]: item for item in self.kubectl.list(KUSTOMIZATION)}
        return {group: found[f"{self.name}-{group}"].get("status", {}) for group in GROUPS}

    @staticmethod
    def _check_not_failed(state: Json, sha: str, subject: str, passing: str) -> None:
        ready = condition(state, "Ready")
        attempted = state.get("lastAttemptedRevision", "").endswith(sha)
        if attempted and ready.get("reason") in {"HealthCheckFailed", "ReconciliationFailed", "BuildFailed"}:
            is_old = ready["reason"] == "HealthCheckFailed" and passing and passing in ready["message"]
            assert is_old, f"Flux reports '{subject}' as failed: {ready['message']}"


def _applied(state: Json, sha: str) -> bool:
    ready = condition(state, "Ready")
    return ready.get("status") == "True" and state.get("lastAppliedRevision", "").endswith(sha)
