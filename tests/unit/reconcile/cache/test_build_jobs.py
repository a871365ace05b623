"""Build Jobs in the cache: found by Image and by name."""

from __future__ import annotations

import datetime as dt

from tests.unit.reconcile.cache.bodies import IMAGE, build_job

from modelyard.reconcile.cache.build_jobs import BuildJobCache
from modelyard.reconcile.objects import BuildSnapshot


def test_jobs_are_found_by_image() -> None:
    jobs = BuildJobCache()
    assert jobs.put(build_job("a", 1)) == IMAGE
    assert jobs.put(build_job("a", 1)) is None
    assert jobs.put(build_job("b", 2)) == IMAGE
    assert jobs.put(build_job("a", 1, Failed="DeadlineExceeded")) == IMAGE
    assert [
        (job.name, job.version, job.complete, job.failed, job.reason) for job in jobs.of_image(IMAGE)
    ] == [
        ("a", 1, False, True, "DeadlineExceeded"),
        ("b", 2, False, False, ""),
    ]
    assert jobs.images() == [IMAGE]
    assert (jobs.delete("a"), jobs.delete("a"), jobs.delete("b")) == (IMAGE, None, IMAGE)
    assert jobs.images() == []


def test_marks_outlive_later_events_of_the_same_job() -> None:
    jobs = BuildJobCache()
    jobs.put(build_job("a", 1))
    assert (jobs.mark_complete("a"), jobs.mark_complete("a")) == (IMAGE, None)
    assert (jobs.mark_pushed("a"), jobs.mark_pushed("a")) == (IMAGE, None)
    assert jobs.put(build_job("a", 1)) is None
    (job,) = jobs.of_image(IMAGE)
    assert (job.complete, job.pushed) == (True, True)


def test_marks_of_unknown_jobs_are_ignored() -> None:
    jobs = BuildJobCache()
    assert (jobs.mark_complete("a"), jobs.mark_pushed("a")) == (None, None)


NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def test_running_pod_is_of_a_cached_job_and_deleted_with_it() -> None:
    jobs = BuildJobCache()
    jobs.put_running_pod("a", "a-x")
    assert jobs.running_pod("a") is None
    jobs.put(build_job("a", 1))
    jobs.put_running_pod("a", "a-x")
    assert jobs.running_pod("a") == "a-x"
    jobs.delete("a")
    assert jobs.running_pod("a") is None


def test_snapshot_is_deleted_with_its_job() -> None:
    jobs = BuildJobCache()
    jobs.put(build_job("a", 1))
    snapshot = BuildSnapshot(NOW, NOW, "log", "Push")
    jobs.put_snapshot("a", snapshot)
    assert jobs.snapshot("a") == snapshot
    jobs.delete("a")
    assert jobs.snapshot("a") is None


def test_job_of_another_program_is_not_cached() -> None:
    jobs = BuildJobCache()
    assert jobs.put({"metadata": {"name": "a", "uid": "a"}}) is None
    assert jobs.images() == []
