from __future__ import annotations

import datetime as dt

import pytest
from tests.unit.image_gc.fakes import (
    HOST,
    FakeClusterUsage,
    FakeGcRegistry,
    image_revision,
    pod,
)

from modelyard.contract.registry_names import LAYER_CACHE_REPOSITORY
from modelyard.image_gc.prune import GcReport, make_report, prune
from modelyard.oci.errors import RegistryRefusedError

REPOSITORY = "modelyard/team/diabetes"
HASH = "a" * 64
OTHER = "b" * 64
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
WEEK = dt.timedelta(days=7)
NO_GRACE = dt.timedelta(0)


def _prune(
    cluster: FakeClusterUsage,
    registry: FakeGcRegistry,
    *,
    now: dt.datetime = NOW,
    older_than: dt.timedelta = NO_GRACE,
) -> GcReport:
    report = make_report(cluster, registry.image_repositories(), now, older_than)
    prune(cluster, registry.image_repositories(), report, lambda _: None, lambda _: None)
    return report


@pytest.fixture
def registry() -> FakeGcRegistry:
    return FakeGcRegistry()


def test_unused_image_is_deleted(registry: FakeGcRegistry) -> None:
    digest = registry.push(REPOSITORY, HASH)
    _prune(FakeClusterUsage(), registry)
    assert not registry.has(REPOSITORY, digest)
    assert not registry.tagged


def _location(digest: str) -> str:
    return f"pull.example.com/{REPOSITORY}@{digest}"


def _users(digest: str) -> dict[str, FakeClusterUsage]:
    return {
        "Image team/diabetes:3": FakeClusterUsage(image_revision("diabetes", 3, _location(digest))),
        "Pod team/p": FakeClusterUsage(pod(_location(digest))),
        "Pod team/p, by tag": FakeClusterUsage(pod(f"pull.example.com/{REPOSITORY}:{HASH}")),
    }


@pytest.mark.parametrize("user", _users(""))
def test_image_that_an_object_names_stays(registry: FakeGcRegistry, user: str) -> None:
    digest = registry.push(REPOSITORY, HASH)
    report = _prune(_users(digest)[user], registry)
    assert [reason for _, reason in report.images.in_use] == [user.removesuffix(", by tag")]
    assert registry.tagged == {(REPOSITORY, HASH): digest}


def test_image_with_the_tag_of_a_user_stays(registry: FakeGcRegistry) -> None:
    digest = registry.push(REPOSITORY, HASH)
    registry.push(REPOSITORY, "blessed")
    report = _prune(FakeClusterUsage(), registry)
    assert [reason for _, reason in report.images.in_use] == [f"tagged {HASH}, blessed"]
    assert registry.has(REPOSITORY, digest)


def test_images_stay_while_a_version_of_their_image_is_built(registry: FakeGcRegistry) -> None:
    digest = registry.push(REPOSITORY, HASH)
    elsewhere = registry.push("modelyard/team/other", OTHER)
    _prune(FakeClusterUsage(image_revision("diabetes", 4, None, state=None)), registry)
    assert registry.has(REPOSITORY, digest)
    assert not registry.has("modelyard/team/other", elsewhere)


@pytest.mark.parametrize("path", ["modelyard/python", "modelyard/a/b/c", "other/team/x", "modelyards/team/x"])
def test_repository_of_another_form_is_unchanged(registry: FakeGcRegistry, path: str) -> None:
    digest = registry.push(path, HASH)
    _prune(FakeClusterUsage(), registry)
    assert registry.has(path, digest)


def test_report_covers_only_the_selected_namespaces(registry: FakeGcRegistry) -> None:
    registry.push(REPOSITORY, HASH)
    registry.push("modelyard/other/x", HASH)
    report = make_report(FakeClusterUsage(), registry.image_repositories("team"), NOW, NO_GRACE)
    assert [stored.repository for stored, _ in report.images.expired] == [REPOSITORY]


def test_age_counts_from_the_first_run_that_found_the_image_unused(registry: FakeGcRegistry) -> None:
    digest = registry.push(REPOSITORY, HASH)
    cluster = FakeClusterUsage()
    _prune(cluster, registry, older_than=WEEK)
    _prune(cluster, registry, now=NOW + WEEK - dt.timedelta(seconds=1), older_than=WEEK)
    assert registry.has(REPOSITORY, digest)
    assert list(cluster.saved.values()) == [NOW]
    _prune(cluster, registry, now=NOW + WEEK, older_than=WEEK)
    assert not registry.has(REPOSITORY, digest)
    assert not cluster.saved


def test_use_of_an_image_restarts_its_age(registry: FakeGcRegistry) -> None:
    digest = registry.push(REPOSITORY, HASH)
    cluster = FakeClusterUsage()
    _prune(cluster, registry, older_than=WEEK)
    cluster.objects = [pod(_location(digest))]
    _prune(cluster, registry, now=NOW + WEEK, older_than=WEEK)
    cluster.objects = []
    _prune(cluster, registry, now=NOW + WEEK, older_than=WEEK)
    assert registry.has(REPOSITORY, digest)


def test_report_changes_neither_registry_nor_cluster(registry: FakeGcRegistry) -> None:
    registry.push(REPOSITORY, HASH)
    cluster = FakeClusterUsage()
    before = dict(registry.manifests), dict(registry.tagged)
    report = make_report(cluster, registry.image_repositories(), NOW, NO_GRACE)
    assert [stored.repository for stored, _ in report.images.expired] == [REPOSITORY]
    assert (registry.manifests, registry.tagged) == before
    assert not cluster.saved


@pytest.mark.parametrize("deletes_tags", [True, False])
def test_image_that_comes_into_use_during_the_run_stays(registry: FakeGcRegistry, deletes_tags: bool) -> None:
    registry.deletes_tags = deletes_tags
    digest = registry.push(REPOSITORY, HASH)
    cluster = FakeClusterUsage()
    report = make_report(cluster, registry.image_repositories(), NOW, NO_GRACE)

    def use_the_image(_: float) -> None:
        assert bool(registry.tagged) is not deletes_tags
        cluster.objects.append(image_revision("diabetes", 5, _location(digest)))

    prune(cluster, registry.image_repositories(), report, lambda _: None, use_the_image)
    assert registry.tagged == {(REPOSITORY, HASH): digest}
    assert not cluster.saved


def test_image_stays_if_a_version_is_created_during_the_run(registry: FakeGcRegistry) -> None:
    digest = registry.push(REPOSITORY, HASH)
    cluster = FakeClusterUsage()
    report = make_report(cluster, registry.image_repositories(), NOW, NO_GRACE)
    unfinished = image_revision("diabetes", 5, None, state=None)
    prune(
        cluster,
        registry.image_repositories(),
        report,
        lambda _: None,
        lambda _: cluster.objects.append(unfinished),
    )
    assert registry.tagged == {(REPOSITORY, HASH): digest}


def test_image_that_a_killed_run_untagged_is_deleted_by_the_next_run(registry: FakeGcRegistry) -> None:
    digest = registry.push(REPOSITORY, HASH)
    cluster = FakeClusterUsage()
    report = make_report(cluster, registry.image_repositories(), NOW, NO_GRACE)

    def kill(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune(cluster, registry.image_repositories(), report, lambda _: None, kill)
    assert registry.has(REPOSITORY, digest)
    assert not registry.tagged
    _prune(cluster, registry)
    assert not registry.has(REPOSITORY, digest)
    assert not cluster.saved


def test_referrers_are_deleted_with_their_image(registry: FakeGcRegistry) -> None:
    digest = registry.push(REPOSITORY, HASH)
    tag_prefix = digest.replace(":", "-")
    registry.push(REPOSITORY, None, subject={"digest": digest})
    registry.push(REPOSITORY, tag_prefix, manifests=[1])
    registry.push(REPOSITORY, f"{tag_prefix}.sig", layers=[{"digest": "signature"}])
    _prune(FakeClusterUsage(), registry)
    assert not registry.manifests


def test_referrers_of_an_image_in_use_stay(registry: FakeGcRegistry) -> None:
    digest = registry.push(REPOSITORY, HASH)
    registry.push(REPOSITORY, None, subject={"digest": digest})
    registry.push(REPOSITORY, digest.replace(":", "-"), manifests=[1])
    before = dict(registry.manifests)
    _prune(FakeClusterUsage(pod(_location(digest))), registry)
    assert registry.manifests == before


def test_cached_layer_that_no_image_shares_is_deleted(registry: FakeGcRegistry) -> None:
    cache = f"modelyard/{LAYER_CACHE_REPOSITORY}"
    used = registry.push(cache, HASH, layers=[{"digest": "environment"}])
    unused = registry.push(cache, OTHER, layers=[{"digest": "old environment"}])
    image = registry.push(REPOSITORY, HASH, layers=[{"digest": "base"}, {"digest": "environment"}])
    cluster = FakeClusterUsage(pod(_location(image)))
    _prune(cluster, registry, older_than=WEEK)
    assert registry.has(cache, unused)
    _prune(cluster, registry, now=NOW + WEEK, older_than=WEEK)
    assert not registry.has(cache, unused)
    assert registry.has(cache, used)
    assert not cluster.saved


def test_registry_without_a_catalog_is_searched_for_the_images_of_the_cluster(
    registry: FakeGcRegistry,
) -> None:
    registry.lists = False
    known = registry.push(REPOSITORY, HASH)
    unknown = registry.push("modelyard/team/gone", HASH, config={})
    _prune(FakeClusterUsage(image_revision("diabetes", 1, "elsewhere")), registry)
    assert not registry.has(REPOSITORY, known)
    assert registry.has("modelyard/team/gone", unknown)


def test_registry_with_deletion_disabled_is_named_with_the_setting(registry: FakeGcRegistry) -> None:
    registry.deletes = False
    registry.push(REPOSITORY, HASH)
    with pytest.raises(RegistryRefusedError, match=rf"{HOST} has deletion disabled"):
        _prune(FakeClusterUsage(), registry)
