"""ControllerRevisions in the cache: older events are ignored, those of a deleted owner are skipped."""

from __future__ import annotations

import pytest
from tests.unit.reconcile.cache.bodies import MODEL, custom_object, revision_body

from modelyard.api import labels
from modelyard.kube.types import REVISIONS, Json
from modelyard.reconcile.cache import Cache


@pytest.fixture
def cache() -> Cache:
    return Cache()


def test_newest_is_a_revision_of_the_present_owner(cache: Cache) -> None:
    for version, uid in ((1, "u2"), (2, "u1"), (3, "u1")):
        cache.revisions.put(revision_body(version, 10 + version, uid))
    assert cache.revisions.newest(MODEL) is None
    cache.objects.put("Model", custom_object(20, uid="u1"))
    newest = cache.revisions.newest(MODEL)
    assert newest
    assert newest.id == "m:3"
    cache.objects.put("Model", custom_object(21, uid="u2"))
    newest = cache.revisions.newest(MODEL)
    assert newest
    assert newest.id == "m:1"


@pytest.mark.parametrize(
    ("event", "is_newer"),
    [
        (revision_body(1, 9, annotations={labels.STATE: "Failed"}), False),
        (revision_body(1, 10), False),
        (revision_body(1, 9, "u0"), False),
        (revision_body(1, 11, annotations={labels.STATE: "Failed"}), True),
        (revision_body(1, 11, "u2"), True),
        (revision_body(2, 5), True),
    ],
    ids=str,
)
def test_put_returns_newer_revisions_only(cache: Cache, event: Json, is_newer: bool) -> None:
    cache.revisions.put(revision_body(1, 10))
    assert (cache.revisions.put(event) is not None) is is_newer


def test_delete_removes_a_revision_unless_the_event_is_older(cache: Cache) -> None:
    cache.objects.put("Model", custom_object(5))
    cache.revisions.put(revision_body(1, 10))
    assert cache.revisions.delete(revision_body(1, 9)) == MODEL
    assert cache.revisions.newest(MODEL)
    assert cache.revisions.delete({"metadata": {"namespace": "default", "name": "model-m-1"}}) == MODEL
    assert cache.revisions.newest(MODEL) is None


def test_delete_ignores_names_of_other_controllers(cache: Cache) -> None:
    assert cache.revisions.delete({"metadata": {"namespace": "default", "name": "web-1"}}) is None


def test_put_ignores_revisions_of_other_controllers(cache: Cache) -> None:
    body = revision_body(1, 10) | REVISIONS.header()
    body["metadata"]["ownerReferences"][0]["apiVersion"] = "apps/v1"
    assert cache.revisions.put(body) is None
