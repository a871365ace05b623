"""Images in an image index: the index keeps them, and they are deleted with it."""

from __future__ import annotations

import datetime as dt

import pytest
from tests.unit.image_gc.fakes import FakeClusterUsage, FakeGcRegistry, image_revision, pod

from modelyard.contract.registry_names import LAYER_CACHE_REPOSITORY
from modelyard.image_gc.prune import GcReport, make_report, prune

REPOSITORY = "modelyard/team/diabetes"
HASH = "a" * 64
OTHER = "b" * 64
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
WEEK = dt.timedelta(days=7)
NO_GRACE = dt.timedelta(0)


@pytest.fixture
def registry() -> FakeGcRegistry:
    return FakeGcRegistry()


def _images(registry: FakeGcRegistry) -> list[str]:
    return [
        registry.push(REPOSITORY, None, layers=[{"digest": name}], config=name) for name in ("amd64", "arm64")
    ]


def _location(digest: str) -> str:
    return f"pull.example.com/{REPOSITORY}@{digest}"


def _prune(
    cluster: FakeClusterUsage, registry: FakeGcRegistry, older_than: dt.timedelta = NO_GRACE
) -> GcReport:
    report = make_report(cluster, registry.image_repositories(), NOW, older_than)
    prune(cluster, registry.image_repositories(), report, lambda _: None, lambda _: None)
    return report


def test_index_in_use_keeps_its_images(registry: FakeGcRegistry) -> None:
    index = registry.push_index(REPOSITORY, HASH, *_images(registry))
    before = dict(registry.manifests)
    report = _prune(FakeClusterUsage(pod(_location(index))), registry)
    assert registry.manifests == before
    reasons = [reason for _, reason in report.images.in_use]
    assert reasons == ["Pod team/p", *[f"in the index {index}: Pod team/p"] * 2]


def test_image_in_use_keeps_its_index_and_the_other_images(registry: FakeGcRegistry) -> None:
    """A pod may name the image of its platform."""
    arm64, amd64 = _images(registry)
    registry.push_index(REPOSITORY, HASH, arm64, amd64)
    before = dict(registry.manifests)
    _prune(FakeClusterUsage(pod(_location(arm64))), registry)
    assert registry.manifests == before


def test_images_are_deleted_after_their_index_with_their_referrers(registry: FakeGcRegistry) -> None:
    images = _images(registry)
    index = registry.push_index(REPOSITORY, HASH, *images)
    for digest in (*images, index):
        registry.push(REPOSITORY, None, subject={"digest": digest})
    report = make_report(FakeClusterUsage(), registry.image_repositories(), NOW, NO_GRACE)
    assert [stored.digest for stored, _ in report.images.expired] == [index, *sorted(images)]
    _prune(FakeClusterUsage(), registry)
    assert not registry.manifests


def test_image_of_two_indexes_stays_with_the_index_in_use(registry: FakeGcRegistry) -> None:
    amd64, arm64 = _images(registry)
    unused = registry.push_index(REPOSITORY, HASH, amd64)
    used = registry.push_index(REPOSITORY, OTHER, amd64, arm64)
    _prune(FakeClusterUsage(pod(_location(used))), registry)
    assert set(registry.manifests) == {(REPOSITORY, digest) for digest in (amd64, arm64, used)}
    assert not registry.has(REPOSITORY, unused)


def test_image_with_its_own_tag_stays_after_its_index(registry: FakeGcRegistry) -> None:
    """A user tagged the image of one platform."""
    amd64, arm64 = _images(registry)
    registry.push_index(REPOSITORY, HASH, amd64, arm64)
    assert registry.push(REPOSITORY, "blessed", layers=[{"digest": "amd64"}], config="amd64") == amd64
    _prune(FakeClusterUsage(), registry)
    assert set(registry.manifests) == {(REPOSITORY, amd64)}
    assert registry.tagged == {(REPOSITORY, "blessed"): amd64}


def test_images_of_an_index_that_comes_into_use_during_the_run_stay(registry: FakeGcRegistry) -> None:
    index = registry.push_index(REPOSITORY, HASH, *_images(registry))
    before = dict(registry.manifests)
    cluster = FakeClusterUsage()
    report = make_report(cluster, registry.image_repositories(), NOW, NO_GRACE)
    user = image_revision("diabetes", 5, _location(index))
    prune(
        cluster, registry.image_repositories(), report, lambda _: None, lambda _: cluster.objects.append(user)
    )
    assert registry.manifests == before
    assert registry.tagged == {(REPOSITORY, HASH): index}


def test_images_that_a_killed_run_left_are_deleted_by_the_next_run(registry: FakeGcRegistry) -> None:
    images = _images(registry)
    index = registry.push_index(REPOSITORY, HASH, *images)
    cluster = FakeClusterUsage()
    report = make_report(cluster, registry.image_repositories(), NOW, NO_GRACE)

    def kill_after_the_index(line: str) -> None:
        if index in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune(cluster, registry.image_repositories(), report, kill_after_the_index, lambda _: None)
    assert [registry.has(REPOSITORY, digest) for digest in (index, *images)] == [False, True, True]
    _prune(cluster, registry)
    assert not registry.manifests
    assert not cluster.saved


def test_cached_layer_of_an_image_in_an_index_stays(registry: FakeGcRegistry) -> None:
    cache = f"modelyard/{LAYER_CACHE_REPOSITORY}"
    layer = registry.push(cache, HASH, layers=[{"digest": "arm64"}])
    registry.push_index(REPOSITORY, HASH, *_images(registry))
    _prune(FakeClusterUsage(), registry, older_than=WEEK)
    assert registry.has(cache, layer)


def test_image_that_an_index_lists_and_the_registry_lacks_is_no_part_of_the_report(
    registry: FakeGcRegistry,
) -> None:
    index = registry.push_index(REPOSITORY, HASH, f"sha256:{HASH}")
    report = _prune(FakeClusterUsage(), registry)
    assert [stored.digest for stored, _ in report.images.expired] == [index]
