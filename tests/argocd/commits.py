"""The real Argo CD syncs commits: Synced and Healthy means served, and a bad commit changes no response.

`make test-argocd` runs this file by its name, and CI does not: Argo CD takes eight minutes to build.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tests.argocd.application import Application
from tests.support.git_history import NO_SUCH_PACKAGE, STEPS, Chain, Chains


def check_served(application: Application, chains: Chains, subject: str) -> None:
    """Check that each Service responds with the content of a commit, and that no other Service exists."""
    expected = {name: {chain.response} for name, chain in chains.items()}
    assert application.responses() == expected, f"after the commit '{subject}'"


def apply_step(application: Application, chains: Chains, subject: str) -> None:
    """Commit chains, and check the responses at the moment at which Argo CD reports Synced and Healthy."""
    application.wait_until_healthy(application.commit(chains, subject), subject)
    check_served(application, chains, subject)


def fail_and_revert(application: Application, chains: Chains) -> None:
    """Commit content that cannot be built and content that the API server rejects, each with its revert."""
    subject = "a package that is missing"
    bad = {**chains, "a": replace(chains["a"], driver="bad", packages=NO_SUCH_PACKAGE)}
    message = application.wait_until_degraded(application.commit(bad, subject), subject)
    assert f"Image {application.name}-a: " in message
    assert NO_SUCH_PACKAGE.partition("=")[0] in message, message
    check_served(application, chains, subject)
    application.wait_until_healthy(application.revert(), f"revert of {subject}", repairs=True)
    check_served(application, chains, f"revert of {subject}")

    subject = "a negative number of replicas"
    bad = {**chains, "a": replace(chains["a"], replicas=-1)}
    message = application.wait_until_refused(application.commit(bad, subject), subject)
    assert "spec.numReplicas" in message, message
    check_served(application, chains, subject)
    application.wait_until_healthy(application.revert(), f"revert of {subject}")
    check_served(application, chains, f"revert of {subject}")


def burst(application: Application, chains: dict[str, Chain]) -> None:
    """Push three commits at once: the deletion of b, its creation with other content, and an edit of a."""
    removed = {name: chain for name, chain in chains.items() if name != "b"}
    application.commit(removed, "delete b", push=False)
    chains["b"] = Chain(weights="burst")
    application.commit(chains, "create b again", push=False)
    chains["a"] = replace(chains["a"], driver="burst")
    apply_step(application, chains, "delete b, create b again, edit a")


def history(application: Application) -> None:
    """Push the whole history of one Application, and check the responses at each commit."""
    chains = {name: Chain(driver=f"{application.name}-d1") for name in ("a", "b")}
    first = application.commit(chains, "the first commit")
    application.start()
    application.wait_until_healthy(first, "the first commit")
    check_served(application, chains, "the first commit")
    for subject, change in STEPS:
        change(chains)
        apply_step(application, chains, subject)
    burst(application, chains)
    fail_and_revert(application, chains)
    del chains["b"]
    apply_step(application, chains, "delete b")


def test_healthy_commit_is_served_and_bad_commit_leaves_the_old_version(
    applications: list[Application],
) -> None:
    with ThreadPoolExecutor(len(applications)) as pool:
        for ended in [pool.submit(history, application) for application in applications]:
            ended.result()
