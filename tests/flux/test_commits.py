"""The real Flux applies commits: Ready means served, and a bad commit changes no response."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from tests.flux.team import Team
from tests.support.git_history import NO_SUCH_PACKAGE, STEPS, Chain, Chains

LEAST_COMMITS: Final = 50


def check_served(team: Team, chains: Chains, subject: str) -> None:
    """Check that each Service responds with the content of a commit, and that no other Service exists."""
    expected = {name: {chain.response} for name, chain in chains.items()}
    assert team.responses() == expected, f"after the commit '{subject}'"


def apply_step(team: Team, chains: Chains, subject: str) -> None:
    """Commit chains, and check the responses at the moment at which Flux reports Ready."""
    team.wait_until_ready(team.commit(chains, subject), subject)
    check_served(team, chains, subject)


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
        check_served(team, chains, subject)
        team.wait_until_ready(team.revert(), f"revert of {subject}", repairs=reason)
        check_served(team, chains, f"revert of {subject}")


def burst(team: Team, chains: dict[str, Chain]) -> None:
    """Push three commits at once: the deletion of b, its creation with other content, and an edit of a."""
    removed = {name: chain for name, chain in chains.items() if name != "b"}
    team.commit(removed, "delete b", push=False)
    chains["b"] = Chain(weights="burst")
    team.commit(chains, "create b again", push=False)
    chains["a"] = replace(chains["a"], driver="burst")
    apply_step(team, chains, "delete b, create b again, edit a")


def history(team: Team) -> None:
    """Push the whole history of one team, and check the responses at each commit that Flux has judged."""
    chains = {name: Chain(driver=f"{team.name}-d1") for name in ("a", "b")}
    team.start()
    apply_step(team, chains, "the first commit")
    for subject, change in STEPS:
        change(chains)
        apply_step(team, chains, subject)
    burst(team, chains)
    fail_and_revert(team, chains)
    del chains["b"]
    apply_step(team, chains, "delete b")


def test_ready_commit_is_served_and_bad_commit_leaves_the_old_version(teams: list[Team]) -> None:
    with ThreadPoolExecutor(len(teams)) as pool:
        for ended in [pool.submit(history, team) for team in teams]:
            ended.result()
    assert sum(len(team.commits) for team in teams) >= LEAST_COMMITS
