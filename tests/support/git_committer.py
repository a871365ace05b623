"""Commits of chains to a repository of a GitOps tool, and the responses after each commit."""

from __future__ import annotations

import contextlib
import os
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.cluster import KINDS, OPERATOR_NAMESPACE, Kubectl
from tests.support.git_history import STEPS, Chain, Chains
from tests.support.git_server import GitServer
from tests.support.scoring_client import ScoringClient


@contextlib.contextmanager
def namespace_beside_release(prefix: str) -> Iterator[Kubectl]:
    """Yield kubectl in a new namespace, which is deleted afterwards. The installed operator runs."""
    if not Path(os.environ.get("KUBECONFIG", "")).is_file():
        pytest.fail("there is no cluster: run `make install`, then `. .cluster/env`", pytrace=False)
    Kubectl(OPERATOR_NAMESPACE)("rollout", "status", "deployment/modelyard", "--timeout=180s", timeout=190)
    kubectl = Kubectl(f"{prefix}-{uuid.uuid4().hex[:8]}")
    kubectl("create", "namespace", kubectl.namespace)
    try:
        yield kubectl
    finally:
        kubectl("delete", "namespace", kubectl.namespace, "--wait=false")


class GitCommitter(ABC):
    """Commits chains, and waits until a tool has judged a commit. Names of objects begin with its name."""

    def __init__(self, name: str, kubectl: Kubectl, server: GitServer, client: ScoringClient) -> None:
        self.name = name
        self.kubectl = kubectl
        self.server = server
        self.commits: list[str] = []
        self._client = client

    @abstractmethod
    def wait_until_ready(self, sha: str, subject: str) -> None:
        """Wait until the tool reports a commit as applied and healthy. Raises AssertionError if it fails."""

    def commit(self, chains: Chains, subject: str, *, push: bool = True) -> str:
        """Commit the files of all chains. Returns the commit's SHA-1."""
        files: dict[str, str] = {}
        for name, chain in chains.items():
            files |= chain.files(f"{self.name}-{name}")
        return self._committed(self.server.commit(files, subject), push)

    def revert(self) -> str:
        """Revert the last commit, and push. Returns the new commit's SHA-1."""
        return self._committed(self.server.revert(), push=True)

    def _committed(self, sha: str, push: bool) -> str:
        self.commits.append(sha)
        if push:
            self.server.push()
        return sha

    def responses(self) -> dict[str, set[str]]:
        """Return the distinct responses of each Service in the cluster, by the chain's name."""
        prefix = f"{self.name}-"
        ours = [item for item in self.kubectl.list("msvc") if item["metadata"]["name"].startswith(prefix)]
        return {name.removeprefix(prefix): found for name, found in self._client.responses(ours).items()}

    def check_served(self, chains: Chains, subject: str) -> None:
        """Check that each Service responds with the content of a commit, and that no other Service exists."""
        expected = {name: {chain.response} for name, chain in chains.items()}
        found = self.responses()
        if found == expected:
            return
        objects = self.kubectl("get", f"{KINDS},pods,endpointslices", "--show-labels")
        answers = f"{found} in place of {expected}, and {self.responses()} seconds later"
        raise AssertionError(f"after the commit '{subject}': {answers}\n{objects}")

    def apply(self, chains: Chains, subject: str) -> None:
        """Commit chains, and check the responses at the moment at which the tool reports them as ready."""
        self.wait_until_ready(self.commit(chains, subject), subject)
        self.check_served(chains, subject)

    def apply_steps(self, chains: dict[str, Chain]) -> None:
        """Apply all steps of the history, and then three commits that are pushed at once."""
        for subject, change in STEPS:
            change(chains)
            self.apply(chains, subject)
        removed = {name: chain for name, chain in chains.items() if name != "b"}
        self.commit(removed, "delete b", push=False)
        chains["b"] = Chain(weights="burst")
        self.commit(chains, "create b again", push=False)
        chains["a"] = replace(chains["a"], driver="burst")
        self.apply(chains, "delete b, create b again, edit a")
