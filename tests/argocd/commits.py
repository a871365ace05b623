"""The real Argo CD syncs commits: Synced and Healthy means served, and a bad commit changes no response.

`make test-argocd` runs this file by its name, and CI does not: Argo CD takes eight minutes to build.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tests.argocd.application import Application
from tests.support.git_history import NO_SUCH_PACKAGE, Chain, Chains


def fail_and_revert(application: Application, chains: Chains) -> None:
    """Commit content that cannot be built and content that the API server rejects, each with its revert."""
    subject = "a package that is missing"
    bad = {**chains, "a": replace(chains["a"], driver="bad", packages=NO_SUCH_PACKAGE)}
    message = application.wait_until_degraded(application.commit(bad, subject), subject)
    assert f"Image {application.name}-a: " in message
    assert NO_SUCH_PACKAGE.partition("=")[0] in message, message
    application.check_served(chains, subject)
    application.wait_until_ready(application.revert(), f"revert of {subject}", repairs=True)
    application.check_served(chains, f"revert of {subject}")

    subject = "a negative number of replicas"
    bad = {**chains, "a": replace(chains["a"], replicas=-1)}
    message = application.wait_until_refused(application.commit(bad, subject), subject)
    assert "spec.numReplicas" in message, message
    application.check_served(chains, subject)
    application.wait_until_ready(application.revert(), f"revert of {subject}")
    application.check_served(chains, f"revert of {subject}")


def history(application: Application) -> None:
    """Push the whole history of one Application, and check the responses at each commit."""
    chains = {name: Chain(driver=f"{application.name}-d1") for name in ("a", "b")}
    first = application.commit(chains, "the first commit")
    application.start()
    application.wait_until_ready(first, "the first commit")
    application.check_served(chains, "the first commit")
    application.apply_steps(chains)
    fail_and_revert(application, chains)
    del chains["b"]
    application.apply(chains, "delete b")


def test_healthy_commit_is_served_and_bad_commit_leaves_the_old_version(
    applications: list[Application],
) -> None:
    with ThreadPoolExecutor(len(applications)) as pool:
        for ended in [pool.submit(history, application) for application in applications]:
            ended.result()
