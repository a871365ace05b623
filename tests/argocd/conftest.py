"""Fixtures of the tests with Argo CD: the installed chart, a namespace, repositories and Argo CD."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from tests.argocd.application import Application
from tests.support.argocd import argocd
from tests.support.cluster import Kubectl
from tests.support.git_committer import namespace_beside_release
from tests.support.git_server import GitServer
from tests.support.scoring_client import ScoringClient

# name of an Application → its syncOptions
SYNC_OPTIONS: Final = {"client": (), "server": ("ServerSideApply=true",)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder, which need the whole cluster."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture
def kubectl() -> Iterator[Kubectl]:
    """Return kubectl in a namespace of the test's own."""
    with namespace_beside_release("argocd") as kubectl:
        yield kubectl


@pytest.fixture
def applications(kubectl: Kubectl, tmp_path: Path) -> Iterator[list[Application]]:
    """Return Applications, each with a repository that Argo CD syncs to the namespace."""
    client = ScoringClient(kubectl)
    with contextlib.ExitStack() as stack:
        made = []
        for name, options in SYNC_OPTIONS.items():
            (tmp_path / name).mkdir()
            server = stack.enter_context(GitServer(tmp_path / name))
            made.append(Application(name, kubectl, server, client, *options))
        stack.enter_context(argocd(kubectl.namespace, tmp_path))
        yield made
