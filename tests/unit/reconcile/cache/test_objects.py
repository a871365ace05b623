"""Custom resources in the cache: older events are ignored, references are indexed."""

from __future__ import annotations

import pytest
from tests.unit.reconcile.cache.bodies import IMAGE, MANIFEST, MODEL, SERVICE, custom_object

from modelyard.api.names import REGISTRATION
from modelyard.kube.types import Json
from modelyard.reconcile.cache import Cache


@pytest.fixture
def cache() -> Cache:
    return Cache()


@pytest.mark.parametrize(
    ("event", "reconciles"),
    [
        (custom_object(9, generation=2), False),
        (custom_object(10, generation=2), False),
        (custom_object(9, uid="u0"), False),
        (custom_object(11), False),
        (custom_object(11, metadata={"labels": {"a": "b"}}), False),
        (custom_object(11, generation=2), True),
        (custom_object(11, status={"state": "Failed"}), True),
        (custom_object(11, metadata={"annotations": {REGISTRATION: "again"}}), True),
        (custom_object(11, metadata={"deletionTimestamp": "now"}), True),
        (custom_object(11, uid="u2"), True),
    ],
    ids=str,
)
def test_newer_object_with_relevant_change_calls_for_reconcile(
    cache: Cache, event: Json, reconciles: bool
) -> None:
    assert cache.objects.put("Model", custom_object(10)) == MODEL
    assert (cache.objects.put("Model", event) == MODEL) is reconciles


def test_event_of_own_status_write_calls_for_no_reconcile(cache: Cache) -> None:
    cache.objects.put("Model", custom_object(10))
    cached = cache.objects.get(MODEL)
    assert cached
    cache.objects.store_status(cached, {"state": "Running"}, {"resourceVersion": "12"})
    assert cache.objects.put("Model", custom_object(11)) is None
    assert cache.objects.put("Model", custom_object(12, status={"state": "Running"})) is None
    assert cached.status == {"state": "Running"}


def test_event_of_status_write_in_flight_calls_for_no_reconcile(cache: Cache) -> None:
    cache.objects.put("Model", custom_object(10))
    with cache.pending_writes.writing_status(MODEL, {"state": "Running"}):
        assert cache.objects.put("Model", custom_object(11, status={"state": "Running"})) is None
        assert cache.objects.put("Model", custom_object(12, status={"state": "Failed"})) == MODEL
    assert cache.objects.put("Model", custom_object(13, status={"state": "Running"})) == MODEL


def test_deletion_of_older_object_leaves_re_created_object(cache: Cache) -> None:
    cache.objects.put("Model", custom_object(10, uid="u1"))
    cache.objects.put("Model", custom_object(20, uid="u2"))
    assert cache.objects.delete("Model", custom_object(15, uid="u1")) == MODEL
    assert cache.objects.get(MODEL)
    cache.objects.delete("Model", custom_object(25, uid="u2"))
    assert cache.objects.get(MODEL) is None


def test_dependents_are_indexed_by_reference(cache: Cache) -> None:
    objects = cache.objects
    objects.put("Manifest", custom_object(10, "Manifest", spec={"modelIds": ["m", "a:3"]}))
    assert objects.dependents(MODEL) == objects.dependents(MODEL._replace(name="a")) == [MANIFEST]
    objects.put("Manifest", custom_object(11, "Manifest", generation=2, spec={"modelIds": ["a"]}))
    assert objects.dependents(MODEL) == []
    objects.put("Image", custom_object(12, "Image", spec={"manifestId": "m:7"}))
    objects.put("Service", custom_object(13, "Service", spec={"imageId": "m"}))
    assert (objects.dependents(MANIFEST), objects.dependents(IMAGE)) == ([IMAGE], [SERVICE])
    objects.delete("Manifest", custom_object(14, "Manifest"))
    assert objects.dependents(MODEL._replace(name="a")) == []
