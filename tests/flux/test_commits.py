"""The real Flux applies commits: Ready means served, and a bad commit changes no response."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from tests.flux.team import Chain, Chains, Team

NO_SUCH_PACKAGE: Final = "modelyard-no-such-package==9.9"
LEAST_COMMITS: Final = 50

Step = tuple[str, Callable[[dict[str, Chain]], None]]


def edit(name: str, **change: str | int) -> Callable[[dict[str, Chain]], None]:
    """Return a change of fields of one chain."""

    def apply(chains: dict[str, Chain]) -> None:
        chains[name] = replace(chains[name], **change)  # type: ignore[arg-type]

    return apply


def swap(old: str, new: str, chain: Chain) -> Callable[[dict[str, Chain]], None]:
    """Return a change that deletes one chain and creates another one."""

    def apply(chains: dict[str, Chain]) -> None:
        del chains[old]
        chains[new] = chain

    return apply


def edit_both(chains: dict[str, Chain]) -> None:
    """Change the weights of both chains."""
    for name in ("a", "b"):
        chains[name] = replace(chains[name], weights="both")


STEPS: Final[tuple[Step, ...]] = (
    ("new weights of a", edit("a", weights="w2")),
    ("new driver of a", edit("a", driver="d2")),
    ("new description of a, the same version", edit("a", description="text")),
    ("old content of a, whose image exists", edit("a", weights="w1", driver="d1")),
    ("new weights of a and b", edit_both),
    ("delete b and create c", swap("b", "c", Chain(weights="c"))),
    ("delete c and create b again with other content", swap("c", "b", Chain(weights="b2", driver="d3"))),
    ("two replicas of a", edit("a", replicas=2)),
    ("one replica and another limit of a", edit("a", replicas=1, concurrency=9)),
)


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
