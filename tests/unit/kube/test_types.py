"""URL paths of resources."""

from __future__ import annotations

import pytest

from modelyard.kube.errors import InvalidName, Rejected
from modelyard.kube.types import DEPLOYMENTS, NAMESPACES, SECRETS

ELSEWHERE = ["", ".", "..", "../../kube-system/secrets/x", "a/b", "%2e%2e", "..%2fx", "a%00"]


def test_path_names_a_collection_an_object_or_a_subresource() -> None:
    assert SECRETS.path(None) == "/api/v1/secrets"
    assert SECRETS.path("team-a") == "/api/v1/namespaces/team-a/secrets"
    assert NAMESPACES.path(None, "team-a") == "/api/v1/namespaces/team-a"
    assert DEPLOYMENTS.path("a", "m.x", "status") == "/apis/apps/v1/namespaces/a/deployments/m.x/status"


@pytest.mark.parametrize("text", ["x?watch=1&y", "x#y", "x;y", "a b", "é", "a\\b", "a\nb", "a:b"])
def test_path_quotes_each_segment(text: str) -> None:
    path = SECRETS.path("team-a", text)
    segment = path.removeprefix("/api/v1/namespaces/team-a/secrets/")
    assert set(segment) <= set("abcdefghijklmnopqrstuvwxyzABCDEF0123456789%=")
    assert "/" not in segment


@pytest.mark.parametrize("text", ELSEWHERE)
def test_path_refuses_names_that_lead_elsewhere(text: str) -> None:
    for parts in ((text,), (text, "x"), ("a", text), ("a", "x", text)):
        with pytest.raises(InvalidName, match="not the name of an object"):
            SECRETS.path(*parts)
    assert issubclass(InvalidName, Rejected)
