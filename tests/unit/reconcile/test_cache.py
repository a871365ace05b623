"""What is known: older news changes nothing, each incarnation is its own, only news wakes anybody."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.api.names import REGISTRATION
from modelyard.kube.types import CORE_SERVICES, DEPLOYMENTS, JOBS, REVISIONS, Json
from modelyard.reconcile.cache import Cache
from modelyard.reconcile.workqueue import Key
from modelyard.resources import labels
from modelyard.resources.revision import Owner, metadata, revision

MODEL, MANIFEST, IMAGE, SERVICE = (
    Key(kind, "default", "m") for kind in ("Model", "Manifest", "Image", "Service")
)


def item(version: int, kind: str = "Model", uid: str = "u1", **more: Any) -> Json:
    generation = more.pop("generation", 1)
    meta = {"name": "m", "namespace": "default", "uid": uid, "generation": generation}
    return {"metadata": meta | {"resourceVersion": str(version)} | more.pop("metadata", {})} | more


def record(number: int, version: int, uid: str = "u1", annotations: Json | None = None) -> Json:
    body = revision(Owner("Model", "m", uid), number, {"url": str(number)}, annotations or {})
    body["metadata"] |= {
        "namespace": "default",
        "resourceVersion": str(version),
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    return body


def child(version: int, uid: str = "c1", owner: str = "u1", **more: Any) -> Json:
    meta = metadata(Owner("Service", "m", owner), "m")
    meta |= {"namespace": "default", "uid": uid, "resourceVersion": str(version)}
    return {"metadata": meta | more.pop("metadata", {})} | more


def deployment(
    version: int, generation: int = 1, available: int = 0, progressing: str = "ReplicaSetUpdated", **more: Any
) -> Json:
    conditions = [{"type": "Progressing", "reason": progressing, "message": f"it is {progressing}"}]
    status = {"availableReplicas": available, "observedGeneration": generation, "conditions": conditions}
    return child(version, metadata={"generation": generation}, spec={"replicas": 1}, status=status, **more)


@pytest.fixture
def cache() -> Cache:
    return Cache()


# our objects


@pytest.mark.parametrize(
    ("news", "wakes"),
    [
        (item(9, generation=2), False),
        (item(10, generation=2), False),
        (item(9, uid="u0"), False),
        (item(11), False),
        (item(11, metadata={"labels": {"a": "b"}}), False),
        (item(11, generation=2), True),
        (item(11, status={"state": "Failed"}), True),
        (item(11, metadata={"annotations": {REGISTRATION: "again"}}), True),
        (item(11, metadata={"deletionTimestamp": "now"}), True),
        (item(11, uid="u2"), True),
    ],
    ids=str,
)
def test_only_news_of_an_object_wakes(cache: Cache, news: Json, wakes: bool) -> None:
    assert cache.put_item("Model", item(10)) == MODEL
    assert (cache.put_item("Model", news) == MODEL) is wakes


def test_a_status_that_was_written_is_no_news(cache: Cache) -> None:
    cache.put_item("Model", item(10))
    known = cache.item(MODEL)
    assert known
    cache.wrote_status(known, {"state": "Running"}, {"resourceVersion": "12"})
    assert cache.put_item("Model", item(11)) is None
    assert cache.put_item("Model", item(12, status={"state": "Running"})) is None
    assert known.status == {"state": "Running"}


def test_a_status_that_is_told_before_its_answer_comes_is_no_news(cache: Cache) -> None:
    cache.put_item("Model", item(10))
    with cache.writing_status(MODEL, {"state": "Running"}):
        assert cache.put_item("Model", item(11, status={"state": "Running"})) is None
        assert cache.put_item("Model", item(12, status={"state": "Failed"})) == MODEL
    assert cache.put_item("Model", item(13, status={"state": "Running"})) == MODEL


def test_the_deletion_of_an_older_incarnation_leaves_the_present_one(cache: Cache) -> None:
    cache.put_item("Model", item(10, uid="u1"))
    cache.put_item("Model", item(20, uid="u2"))
    assert cache.drop_item("Model", item(15, uid="u1")) == MODEL
    assert cache.item(MODEL)
    cache.drop_item("Model", item(25, uid="u2"))
    assert cache.item(MODEL) is None


def test_dependents_follow_references(cache: Cache) -> None:
    cache.put_item("Manifest", item(10, "Manifest", spec={"modelIds": ["m", "a:3"]}))
    assert cache.dependents(MODEL) == cache.dependents(MODEL._replace(name="a")) == {MANIFEST}
    cache.put_item("Manifest", item(11, "Manifest", generation=2, spec={"modelIds": ["a"]}))
    assert cache.dependents(MODEL) == set()
    cache.put_item("Image", item(12, "Image", spec={"manifestId": "m:7"}))
    cache.put_item("Service", item(13, "Service", spec={"imageId": "m"}))
    assert (cache.dependents(MANIFEST), cache.dependents(IMAGE)) == ({IMAGE}, {SERVICE})
    cache.drop_item("Manifest", item(14, "Manifest"))
    assert cache.dependents(MODEL._replace(name="a")) == set()


# versions


def test_records_are_those_of_the_present_owner(cache: Cache) -> None:
    for number, uid in ((1, "u2"), (2, "u1"), (3, "u1")):
        cache.put_record(record(number, 10 + number, uid))
    assert cache.newest(MODEL) is None
    cache.put_item("Model", item(20, uid="u1"))
    newest = cache.newest(MODEL)
    assert newest
    assert newest.id == "m:3"
    cache.put_item("Model", item(21, uid="u2"))
    newest = cache.newest(MODEL)
    assert newest
    assert newest.id == "m:1"


@pytest.mark.parametrize(
    ("news", "told"),
    [
        (record(1, 9, annotations={labels.STATE: "Failed"}), False),
        (record(1, 10), False),
        (record(1, 9, uid="u0"), False),
        (record(1, 11, annotations={labels.STATE: "Failed"}), True),
        (record(1, 11, uid="u2"), True),
        (record(2, 5), True),
    ],
    ids=str,
)
def test_only_news_of_a_record_is_told(cache: Cache, news: Json, told: bool) -> None:
    cache.put_record(record(1, 10))
    assert (cache.put_record(news) is not None) is told


def test_a_record_that_goes(cache: Cache) -> None:
    cache.put_item("Model", item(5))
    cache.put_record(record(1, 10))
    assert cache.drop_record(record(1, 9)) == MODEL
    assert cache.record(MODEL, 1)
    assert cache.drop_record({"metadata": {"namespace": "default", "name": "model-m-1"}}) == MODEL
    assert cache.newest(MODEL) is None
    assert cache.drop_record({"metadata": {"namespace": "default", "name": "web-1"}}) is None


def test_revisions_of_others_are_none_of_ours(cache: Cache) -> None:
    body = record(1, 10) | REVISIONS.header()
    body["metadata"]["ownerReferences"][0]["apiVersion"] = "apps/v1"
    assert cache.put_record(body) is None


# children


@pytest.mark.parametrize(
    ("news", "wakes", "trusted"),
    [
        (deployment(9, available=1), False, True),
        (deployment(10), False, True),
        (deployment(11), False, True),
        (deployment(11, available=1), True, True),
        (deployment(11, progressing="NewReplicaSetAvailable"), False, True),
        (deployment(11, progressing="ProgressDeadlineExceeded"), True, True),
        (deployment(11, generation=2), True, False),
        (deployment(11, uid="c2"), True, True),
    ],
    ids=str,
)
def test_a_deployment_is_trusted_while_nobody_changes_its_spec(
    cache: Cache, news: Json, wakes: bool, trusted: bool
) -> None:
    cache.put_child(DEPLOYMENTS, deployment(10))
    assert (cache.put_child(DEPLOYMENTS, news) is not None) is wakes
    known = cache.child(DEPLOYMENTS, "default", "m")
    assert known
    assert known.in_sync is trusted


def test_a_status_comes_with_what_was_written(cache: Cache) -> None:
    cache.put_child(DEPLOYMENTS, deployment(10))
    cache.wrote_child(DEPLOYMENTS, child(12, metadata={"generation": 1}))
    assert cache.put_child(DEPLOYMENTS, deployment(11, available=1)) is None
    assert cache.put_child(DEPLOYMENTS, deployment(12, available=1)) is not None
    known = cache.child(DEPLOYMENTS, "default", "m")
    assert known
    assert (known.rollout.available, known.in_sync) == (1, True)


def test_any_change_of_a_child_of_which_only_metadata_is_watched_is_looked_at(cache: Cache) -> None:
    cache.wrote_child(CORE_SERVICES, child(10))
    assert cache.put_child(CORE_SERVICES, child(10)) is None
    assert cache.put_child(CORE_SERVICES, child(11)) == Owner("Service", "m", "u1")
    known = cache.child(CORE_SERVICES, "default", "m")
    assert known
    assert not known.in_sync
    cache.wrote_child(CORE_SERVICES, child(11))
    known = cache.child(CORE_SERVICES, "default", "m")
    assert known
    assert known.in_sync


def test_a_child_that_is_told_before_its_answer_comes_is_no_news(cache: Cache) -> None:
    with cache.creating(CORE_SERVICES, "default", "m"):
        assert cache.put_child(CORE_SERVICES, child(10)) is None
        assert cache.child(CORE_SERVICES, "default", "m")
        assert cache.put_child(CORE_SERVICES, child(11)) == Owner("Service", "m", "u1")
    cache.drop_child(CORE_SERVICES, child(12))
    assert cache.put_child(CORE_SERVICES, child(13, uid="c2")) == Owner("Service", "m", "u1")


def test_what_was_written_of_a_deployment_keeps_what_was_seen_of_it(cache: Cache) -> None:
    cache.put_child(DEPLOYMENTS, deployment(10, available=1))
    cache.wrote_child(DEPLOYMENTS, child(11, metadata={"generation": 2}))
    known = cache.child(DEPLOYMENTS, "default", "m")
    assert known
    assert (known.rollout.generation, known.rollout.observed, known.rollout.available) == (2, 1, 1)
    cache.wrote_child(DEPLOYMENTS, child(12, uid="c2", metadata={"generation": 1}))
    known = cache.child(DEPLOYMENTS, "default", "m")
    assert known
    assert (known.rollout.generation, known.rollout.available) == (1, 0)


@pytest.mark.parametrize(("version", "stays"), [("9", True), ("11", False), (None, False)])
def test_a_child_that_goes(cache: Cache, version: str | None, stays: bool) -> None:
    cache.put_child(CORE_SERVICES, child(10))
    meta = {"namespace": "default", "name": "m"} | ({"resourceVersion": version} if version else {})
    cache.drop_child(CORE_SERVICES, {"metadata": meta})
    assert (cache.child(CORE_SERVICES, "default", "m") is not None) is stays


def test_distrust(cache: Cache) -> None:
    cache.put_child(CORE_SERVICES, child(10))
    cache.invalidate([CORE_SERVICES, DEPLOYMENTS], "default", ["m", "other"])
    known = cache.child(CORE_SERVICES, "default", "m")
    assert known
    assert not known.in_sync


def test_somebody_elses_object_is_no_child(cache: Cache) -> None:
    body = child(10, metadata={"ownerReferences": []})
    assert cache.put_child(CORE_SERVICES, body) is None
    assert cache.child(CORE_SERVICES, "default", "m") is None


# build Jobs


def job(name: str, version: int, **status: Any) -> Json:
    annotations = {
        labels.BUILD_IMAGE: "default/m",
        labels.BUILD_VERSION: str(version),
        labels.BUILD_ATTEMPT: "1",
    }
    conditions = [{"type": key, "status": "True", "reason": value} for key, value in status.items()]
    return {
        **JOBS.header(),
        "metadata": {"name": name, "uid": name, "annotations": annotations},
        "status": {"conditions": conditions},
    }


def test_jobs_of_an_image(cache: Cache) -> None:
    assert cache.put_job(job("a", 1)) == IMAGE
    assert cache.put_job(job("a", 1)) is None
    assert cache.put_job(job("b", 2)) == IMAGE
    assert cache.put_job(job("a", 1, Failed="DeadlineExceeded")) == IMAGE
    assert [(j.name, j.version, j.complete, j.failed, j.reason) for j in cache.jobs(IMAGE)] == [
        ("a", 1, False, True, "DeadlineExceeded"),
        ("b", 2, False, False, ""),
    ]
    assert cache.images_with_jobs() == [IMAGE]
    assert (cache.drop_job("a"), cache.drop_job("a"), cache.drop_job("b")) == (IMAGE, None, IMAGE)
    assert cache.images_with_jobs() == []


def test_jobs_of_others_are_none_of_ours(cache: Cache) -> None:
    assert cache.put_job({"metadata": {"name": "a", "uid": "a"}}) is None
