"""Fixtures of the tests with Flux: the installed chart, a namespace, a repository and the controllers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from tests.flux.team import Team
from tests.support.cluster import Kubectl
from tests.support.flux import flux
from tests.support.git_committer import namespace_beside_release
from tests.support.git_server import GitServer
from tests.support.scoring_client import ScoringClient

# At once, because a commit takes seconds of waiting: Flux looks at the health of objects each 5 s.
TEAMS: Final = 3


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder, which need the whole cluster."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture
def kubectl() -> Iterator[Kubectl]:
    """Return kubectl in a namespace of the test's own."""
    with namespace_beside_release("flux") as kubectl:
        yield kubectl


@pytest.fixture
def teams(kubectl: Kubectl, tmp_path: Path) -> Iterator[list[Team]]:
    """Return teams, each with a repository that Flux applies to the namespace."""
    client = ScoringClient(kubectl)
    with contextlib.ExitStack() as stack:
        made = []
        for index in range(TEAMS):
            folder = tmp_path / f"team{index}"
            folder.mkdir()
            server = stack.enter_context(GitServer(folder))
            made.append(Team(folder.name, kubectl, server, client, patient=index == 0))
        stack.enter_context(flux(kubectl.namespace, tmp_path))
        yield made
