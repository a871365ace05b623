"""An Application of Argo CD, and its state."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final, TypeVar

from tests.support.argocd import API_SERVER, API_VERSION
from tests.support.cluster import Json, Kubectl, eventually
from tests.support.git_committer import GitCommitter
from tests.support.git_server import BRANCH, GitServer
from tests.support.scoring_client import ScoringClient

T = TypeVar("T")
_RESOURCE: Final = "applications.argoproj.io"
_PATIENCE_SECONDS: Final = 600
_RETRY: Final = {"limit": 1, "backoff": {"duration": "1s", "factor": 1, "maxDuration": "1s"}}


class Application(GitCommitter):
    """Commits chains, and waits until Argo CD has judged a commit. Names of objects begin with its name."""

    def __init__(
        self, name: str, kubectl: Kubectl, server: GitServer, client: ScoringClient, *sync_options: str
    ) -> None:
        super().__init__(name, kubectl, server, client)
        self._sync_options = list(sync_options)

    def start(self) -> None:
        """Create the Application, which Argo CD syncs after each commit."""
        source = {
            "repoURL": self.server.url,
            "targetRevision": BRANCH,
            "path": ".",
            "directory": {"recurse": True},
        }
        self.kubectl.apply(
            {
                "apiVersion": API_VERSION, "kind": "Application", "metadata": {"name": self.name},
                "spec": {
                    "project": "default",
                    "source": source,
                    "destination": {"server": API_SERVER, "namespace": self.kubectl.namespace},
                    "syncPolicy": {
                        "automated": {"prune": True, "selfHeal": True},
                        "syncOptions": self._sync_options,
                        "retry": _RETRY,
                    },
                },
            }
        )  # fmt: skip

    def _committed(self, sha: str, push: bool) -> str:
        super()._committed(sha, push)
        if push and len(self.commits) > 1:
            self._refresh()
        return sha

    def _refresh(self) -> None:
        """Let Argo CD read the repository now, as a webhook of the Git server does."""
        self.kubectl("annotate", _RESOURCE, self.name, "argocd.argoproj.io/refresh=normal", "--overwrite")

    def wait_until_ready(self, sha: str, subject: str, *, repairs: bool = False) -> None:
        """Wait until Argo CD reports a commit as Synced and Healthy.

        Raises AssertionError if it is Degraded before, unless it repairs a commit that failed.
        """

        def healthy() -> bool:
            state = self._state()
            health = state.get("health", {}).get("status")
            assert health != "Degraded" or repairs, f"'{subject}' is Degraded: {self._degraded(state)}"
            return self._is_synced(state, sha) and health == "Healthy"

        self._wait(healthy, f"Argo CD reports the commit '{subject}' as Synced and Healthy")

    def wait_until_degraded(self, sha: str, subject: str) -> str:
        """Wait until Argo CD reports a synced commit as Degraded. Returns the messages of its objects."""

        def messages() -> str:
            state = self._state()
            health = state.get("health", {}).get("status")
            assert not (self._is_synced(state, sha) and health == "Healthy"), f"'{subject}' is Healthy"
            return self._degraded(state) if self._is_synced(state, sha) and health == "Degraded" else ""

        return self._wait(messages, f"Argo CD reports the commit '{subject}' as Degraded")

    def wait_until_refused(self, sha: str, subject: str) -> str:
        """Wait until a sync of a commit has failed. Returns the messages of its objects."""

        def messages() -> str:
            state = self._state()
            assert not self._is_synced(state, sha), f"Argo CD reports the bad commit '{subject}' as Synced"
            operation = state.get("operationState", {})
            result = operation.get("syncResult", {})
            if operation.get("phase") not in {"Failed", "Error"} or result.get("revision") != sha:
                return ""
            found = [item.get("message", "") for item in result.get("resources", ())]
            return "\n".join([operation.get("message", ""), *found])

        return self._wait(messages, f"the sync of '{subject}' fails")

    def _wait(self, probe: Callable[[], T], what: str) -> T:
        try:
            return eventually(probe, _PATIENCE_SECONDS, what, every=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{json.dumps(self._state(), indent=2)}") from None

    def _state(self) -> Json:
        state: Json = self.kubectl.get(_RESOURCE, self.name).get("status", {})
        return state

    @staticmethod
    def _is_synced(state: Json, sha: str) -> bool:
        sync: Json = state.get("sync", {})
        return (sync.get("status"), sync.get("revision")) == ("Synced", sha)

    @staticmethod
    def _degraded(state: Json) -> str:
        """Return the kind, name and message of each object that is Degraded, one a line."""
        return "\n".join(
            f"{item['kind']} {item['name']}: {item['health'].get('message')}"
            for item in state.get("resources", ())
            if item.get("health", {}).get("status") == "Degraded"
        )
