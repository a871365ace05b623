"""Keys of a Service: authentication, and a change of a key without a restart."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from tests.support.cluster import Kubectl, eventually
from tests.support.objects import service

Score = Callable[..., httpx.Response]
PAIR = ("primaryKey", "secondaryKey")


@pytest.fixture(scope="module")
def guarded(shared: Kubectl) -> str:
    """A Service for all these tests."""
    shared.apply(service("guarded", "one"))
    shared("wait", "msvc/guarded", "--for=condition=Ready", "--timeout=180s", timeout=190)
    return "guarded"


def pods(kubectl: Kubectl, name: str) -> dict[str, int]:
    """uid → restarts of a Service's pods."""
    found = kubectl.list("pods", f"modelyard.dev/service={name}")
    return {
        pod["metadata"]["uid"]: sum(item["restartCount"] for item in pod["status"]["containerStatuses"])
        for pod in found
    }


def test_request_without_a_key_is_refused(shared: Kubectl, guarded: str, score: Score) -> None:
    for key in (None, "wrong"):
        answer = score(shared, guarded, key)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("name", PAIR)
def test_either_key_is_accepted(shared: Kubectl, guarded: str, score: Score, name: str) -> None:
    assert score(shared, guarded, shared.secret(f"{guarded}-keys")[name]).status_code == 200


@pytest.mark.parametrize("name", PAIR)
def test_removed_key_is_replaced_and_the_other_key_stays(
    shared: Kubectl, guarded: str, score: Score, name: str
) -> None:
    secret = f"{guarded}-keys"
    (other,) = set(PAIR) - {name}
    before, running = shared.secret(secret), pods(shared, guarded)
    shared.patch("secret", secret, {"data": {name: None}})
    after = eventually(
        lambda: found if set(found := shared.secret(secret)) == set(PAIR) else None, 60, "both keys"
    )
    assert after[name] != before[name]
    assert len(after[name]) >= 32
    assert after[other] == before[other]
    eventually(lambda: score(shared, guarded, after[name]).status_code == 200, 90, "the new key opens")
    assert score(shared, guarded, before[name]).status_code == 401
    assert score(shared, guarded, after[other]).status_code == 200
    assert pods(shared, guarded) == running
