"""Children in the cache: changes by other clients are told from the operator's own writes."""

from __future__ import annotations

import pytest
from tests.unit.reconcile.cache.bodies import SERVICE, child, deployment

from modelyard.kube.types import CORE_SERVICES, DEPLOYMENTS, ApiResource, Json
from modelyard.reconcile.cache import Cache
from modelyard.reconcile.objects import Child


@pytest.fixture
def cache() -> Cache:
    return Cache()


def cached(cache: Cache, resource: ApiResource) -> Child:
    found = cache.children.get(resource, "default", "m")
    assert found
    return found


@pytest.mark.parametrize(
    ("event", "reconciles", "in_sync"),
    [
        (deployment(9, available=1), False, True),
        (deployment(10), False, True),
        (deployment(11), False, True),
        (deployment(11, available=1), True, True),
        (deployment(11, progressing="NewReplicaSetAvailable"), False, True),
        (deployment(11, progressing="ProgressDeadlineExceeded"), True, True),
        (deployment(11, generation=2), True, False),
        (deployment(11, uid="c2"), True, False),
    ],
    ids=str,
)
def test_deployment_is_in_sync_until_its_spec_changes(
    cache: Cache, event: Json, reconciles: bool, in_sync: bool
) -> None:
    cache.children.put(DEPLOYMENTS, deployment(10), trusted=True)
    assert (cache.children.put(DEPLOYMENTS, event) is not None) is reconciles
    assert cached(cache, DEPLOYMENTS).in_sync is in_sync


def test_child_of_an_event_is_out_of_sync_unless_the_operator_creates_it(cache: Cache) -> None:
    cache.children.put(CORE_SERVICES, child(10))
    assert not cached(cache, CORE_SERVICES).in_sync
    with cache.pending_writes.creating(CORE_SERVICES, "default", "m"):
        cache.children.put(CORE_SERVICES, child(11, uid="c2"))
    assert cached(cache, CORE_SERVICES).in_sync


def test_event_of_own_write_brings_its_status(cache: Cache) -> None:
    cache.children.put(DEPLOYMENTS, deployment(10))
    cache.children.store_written(DEPLOYMENTS, child(12, metadata={"generation": 1}))
    assert cache.children.put(DEPLOYMENTS, deployment(11, available=1)) is None
    assert cache.children.put(DEPLOYMENTS, deployment(12, available=1)) is not None
    found = cached(cache, DEPLOYMENTS)
    assert (found.rollout.available, found.in_sync) == (1, True)


def test_metadata_only_change_puts_a_child_out_of_sync(cache: Cache) -> None:
    cache.children.store_written(CORE_SERVICES, child(10))
    assert cache.children.put(CORE_SERVICES, child(10)) is None
    assert cache.children.put(CORE_SERVICES, child(11)) == SERVICE
    assert not cached(cache, CORE_SERVICES).in_sync
    cache.children.store_written(CORE_SERVICES, child(11))
    assert cached(cache, CORE_SERVICES).in_sync


def test_event_of_creation_in_flight_calls_for_no_reconcile(cache: Cache) -> None:
    with cache.pending_writes.creating(CORE_SERVICES, "default", "m"):
        assert cache.children.put(CORE_SERVICES, child(10)) is None
        assert cached(cache, CORE_SERVICES)
        assert cache.children.put(CORE_SERVICES, child(11)) == SERVICE
    cache.children.delete(CORE_SERVICES, child(12))
    assert cache.children.put(CORE_SERVICES, child(13, uid="c2")) == SERVICE


def test_response_without_status_leaves_the_cached_status(cache: Cache) -> None:
    cache.children.put(DEPLOYMENTS, deployment(10, available=1))
    cache.children.store_written(DEPLOYMENTS, child(11, metadata={"generation": 2}))
    rollout = cached(cache, DEPLOYMENTS).rollout
    assert (rollout.generation, rollout.observed, rollout.available) == (2, 1, 1)
    cache.children.store_written(DEPLOYMENTS, child(12, uid="c2", metadata={"generation": 1}))
    rollout = cached(cache, DEPLOYMENTS).rollout
    assert (rollout.generation, rollout.available) == (1, 0)


@pytest.mark.parametrize(("resource_version", "stays"), [("9", True), ("11", False), (None, False)])
def test_delete_removes_a_child_unless_the_event_is_older(
    cache: Cache, resource_version: str | None, stays: bool
) -> None:
    cache.children.put(CORE_SERVICES, child(10))
    meta = {"namespace": "default", "name": "m"}
    meta |= {"resourceVersion": resource_version} if resource_version else {}
    cache.children.delete(CORE_SERVICES, {"metadata": meta})
    assert (cache.children.get(CORE_SERVICES, "default", "m") is not None) is stays


def test_invalidate_puts_named_children_out_of_sync(cache: Cache) -> None:
    cache.children.put(CORE_SERVICES, child(10))
    cache.children.invalidate([CORE_SERVICES, DEPLOYMENTS], "default", ["m", "other"])
    assert not cached(cache, CORE_SERVICES).in_sync


def test_object_without_owner_is_not_cached(cache: Cache) -> None:
    body = child(10, metadata={"ownerReferences": [], "labels": {}})
    assert cache.children.put(CORE_SERVICES, body) is None
    assert cache.children.get(CORE_SERVICES, "default", "m") is None


def test_child_that_lost_its_owner_reference_calls_for_a_reconcile(cache: Cache) -> None:
    cache.children.put(CORE_SERVICES, child(10))
    assert cache.children.put(CORE_SERVICES, child(11, metadata={"ownerReferences": []})) == SERVICE
    assert cached(cache, CORE_SERVICES).owner_uid == ""
