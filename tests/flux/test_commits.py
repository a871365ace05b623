"""The real Flux applies commits: Ready means served, and a bad commit changes no response."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from tests.flux.team import Team
from tests.support.git_history import NO_SUCH_PACKAGE, Chain, Chains

LEAST_COMMITS: Final = 50


def fail_and_revert(team: Team, chains: Chains) -> None:
    """Commit content that cannot be built and content that the API server rejects, each with its revert."""
    unbuildable = {**chains, "a": replace(chains["a"], driver="bad", packages=NO_SUCH_PACKAGE)}
    invalid = {**chains, "a": replace(chains["a"], replicas=-1)}
    image = f"Image/{team.kubectl.namespace}/{team.name}-a status: 'Failed'"
    for bad, group, reason, subject in (
        (unbuildable, "images", image, "a package that is missing"),
        (invalid, "services", "spec.numReplicas", "a negative number of replicas"),
    ):
        message = team.wait_until_failed(group, team.commit(bad, subject), subject)
        assert reason in message, message
        team.check_served(chains, subject)
        team.wait_until_ready(team.revert(), f"revert of {subject}", repairs=reason)
        team.check_served(chains, f"revert of {subject}")


def history(team: Team) -> None:
    """Push the whole history of one team, and check the responses at each commit that Flux has judged."""
    chains = {name: Chain(driver=f"{team.name}-d1") for name in ("a", "b")}
    team.start()
    team.apply(chains, "the first commit")
    team.apply_steps(chains)
    fail_and_revert(team, chains)
    del chains["b"]
    team.apply(chains, "delete b")


def test_ready_commit_is_served_and_bad_commit_leaves_the_old_version(teams: list[Team]) -> None:
    with ThreadPoolExecutor(len(teams)) as pool:
        for ended in [pool.submit(history, team) for team in teams]:
            ended.result()
    assert sum(len(team.commits) for team in teams) >= LEAST_COMMITS
