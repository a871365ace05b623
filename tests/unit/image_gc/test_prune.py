from __future__ import annotations

import datetime as dt

import pytest
from tests.unit.image_gc.fakes import (
    HOST,
    FakeClusterOfImages,
    FakeRegistry,
    pod,
    record,
)

from modelyard.builder.layers.layer_cache import LAYER_CACHE_REPOSITORY
from modelyard.image_gc.prune import (
    Survey,
    prune,
    survey,
)
from modelyard.oci.errors import RegistryRefusedError

REPOSITORY = "modelyard/team/diabetes"
HASH = "a" * 64
OTHER = "b" * 64
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
WEEK = dt.timedelta(days=7)
AT_ONCE = dt.timedelta(0)


def _prune(
    cluster: FakeClusterOfImages,
    registry: FakeRegistry,
    *,
    now: dt.datetime = NOW,
    older_than: dt.timedelta = AT_ONCE,
) -> Survey:
    found = survey(cluster, registry.shelf(), now, older_than)
    prune(cluster, registry.shelf(), found, lambda _: None, lambda _: None)
    return found


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


def test_an_image_that_nobody_names_goes(registry: FakeRegistry) -> None:
    digest = registry.push(REPOSITORY, HASH)
    _prune(FakeClusterOfImages(), registry)
    assert not registry.has(REPOSITORY, digest)
    assert not registry.tagged


def _location(digest: str) -> str:
    return f"pull.example.com/{REPOSITORY}@{digest}"


def _users(digest: str) -> dict[str, FakeClusterOfImages]:
    return {
        "Image team/diabetes:3": FakeClusterOfImages(record("diabetes", 3, _location(digest))),
        "Pod team/p": FakeClusterOfImages(pod(_location(digest))),
        "Pod team/p, by tag": FakeClusterOfImages(pod(f"pull.example.com/{REPOSITORY}:{HASH}")),
    }


@pytest.mark.parametrize("user", _users(""))
def test_an_image_that_somebody_names_stays(registry: FakeRegistry, user: str) -> None:
    digest = registry.push(REPOSITORY, HASH)
    found = _prune(_users(digest)[user], registry)
    assert [why for _, why in found.images.kept] == [user.removesuffix(", by tag")]
    assert registry.tagged == {(REPOSITORY, HASH): digest}


def test_an_image_that_somebody_tagged_stays(registry: FakeRegistry) -> None:
    digest = registry.push(REPOSITORY, HASH)
    registry.push(REPOSITORY, "blessed")
    found = _prune(FakeClusterOfImages(), registry)
    assert [why for _, why in found.images.kept] == [f"tagged {HASH}, blessed"]
    assert registry.has(REPOSITORY, digest)


def test_images_of_a_version_that_is_being_built_stay(registry: FakeRegistry) -> None:
    digest = registry.push(REPOSITORY, HASH)
    elsewhere = registry.push("modelyard/team/other", OTHER)
    _prune(FakeClusterOfImages(record("diabetes", 4, None, state=None)), registry)
    assert registry.has(REPOSITORY, digest)
    assert not registry.has("modelyard/team/other", elsewhere)


@pytest.mark.parametrize("path", ["modelyard/python", "modelyard/a/b/c", "other/team/x", "modelyards/team/x"])
def test_other_repositories_are_left_alone(registry: FakeRegistry, path: str) -> None:
    digest = registry.push(path, HASH)
    _prune(FakeClusterOfImages(), registry)
    assert registry.has(path, digest)


def test_other_namespaces_are_left_alone(registry: FakeRegistry) -> None:
    registry.push(REPOSITORY, HASH)
    registry.push("modelyard/theirs/x", HASH)
    found = survey(FakeClusterOfImages(), registry.shelf("team"), NOW, AT_ONCE)
    assert [stored.repository for stored, _ in found.images.due] == [REPOSITORY]


def test_the_age_counts_from_when_it_was_first_found_unused(registry: FakeRegistry) -> None:
    digest = registry.push(REPOSITORY, HASH)
    cluster = FakeClusterOfImages()
    _prune(cluster, registry, older_than=WEEK)
    _prune(cluster, registry, now=NOW + WEEK - dt.timedelta(seconds=1), older_than=WEEK)
    assert registry.has(REPOSITORY, digest)
    assert list(cluster.kept.values()) == [NOW]
    _prune(cluster, registry, now=NOW + WEEK, older_than=WEEK)
    assert not registry.has(REPOSITORY, digest)
    assert not cluster.kept


def test_being_needed_starts_the_age_anew(registry: FakeRegistry) -> None:
    digest = registry.push(REPOSITORY, HASH)
    cluster = FakeClusterOfImages()
    _prune(cluster, registry, older_than=WEEK)
    cluster.objects = [pod(_location(digest))]
    _prune(cluster, registry, now=NOW + WEEK, older_than=WEEK)
    cluster.objects = []
    _prune(cluster, registry, now=NOW + WEEK, older_than=WEEK)
    assert registry.has(REPOSITORY, digest)


def test_a_survey_changes_nothing(registry: FakeRegistry) -> None:
    registry.push(REPOSITORY, HASH)
    cluster = FakeClusterOfImages()
    before = dict(registry.manifests), dict(registry.tagged)
    found = survey(cluster, registry.shelf(), NOW, AT_ONCE)
    assert [stored.repository for stored, _ in found.images.due] == [REPOSITORY]
    assert (registry.manifests, registry.tagged) == before
    assert not cluster.kept


@pytest.mark.parametrize("deletes_tags", [True, False])
def test_an_image_that_comes_into_use_meanwhile_stays(registry: FakeRegistry, deletes_tags: bool) -> None:
    registry.deletes_tags = deletes_tags
    digest = registry.push(REPOSITORY, HASH)
    cluster = FakeClusterOfImages()
    found = survey(cluster, registry.shelf(), NOW, AT_ONCE)

    def meanwhile(_: float) -> None:
        assert bool(registry.tagged) is not deletes_tags
        cluster.objects.append(record("diabetes", 5, _location(digest)))

    prune(cluster, registry.shelf(), found, lambda _: None, meanwhile)
    assert registry.tagged == {(REPOSITORY, HASH): digest}
    assert not cluster.kept


def test_a_version_that_looks_for_the_image_meanwhile_keeps_it(registry: FakeRegistry) -> None:
    digest = registry.push(REPOSITORY, HASH)
    cluster = FakeClusterOfImages()
    found = survey(cluster, registry.shelf(), NOW, AT_ONCE)
    looking = record("diabetes", 5, None, state=None)
    prune(cluster, registry.shelf(), found, lambda _: None, lambda _: cluster.objects.append(looking))
    assert registry.tagged == {(REPOSITORY, HASH): digest}


def test_what_was_hidden_before_a_kill_is_found_again(registry: FakeRegistry) -> None:
    digest = registry.push(REPOSITORY, HASH)
    cluster = FakeClusterOfImages()
    found = survey(cluster, registry.shelf(), NOW, AT_ONCE)

    def killed(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune(cluster, registry.shelf(), found, lambda _: None, killed)
    assert registry.has(REPOSITORY, digest)
    assert not registry.tagged
    _prune(cluster, registry)
    assert not registry.has(REPOSITORY, digest)
    assert not cluster.kept


def test_what_is_attached_goes_with_its_image(registry: FakeRegistry) -> None:
    digest = registry.push(REPOSITORY, HASH)
    start = digest.replace(":", "-")
    registry.push(REPOSITORY, None, subject={"digest": digest})
    registry.push(REPOSITORY, start, manifests=[1])
    registry.push(REPOSITORY, f"{start}.sig", layers=[{"digest": "signature"}])
    _prune(FakeClusterOfImages(), registry)
    assert not registry.manifests


def test_what_is_attached_to_a_needed_image_stays(registry: FakeRegistry) -> None:
    digest = registry.push(REPOSITORY, HASH)
    registry.push(REPOSITORY, None, subject={"digest": digest})
    registry.push(REPOSITORY, digest.replace(":", "-"), manifests=[1])
    before = dict(registry.manifests)
    _prune(FakeClusterOfImages(pod(_location(digest))), registry)
    assert registry.manifests == before


def test_layers_that_no_image_has_go(registry: FakeRegistry) -> None:
    cache = f"modelyard/{LAYER_CACHE_REPOSITORY}"
    used = registry.push(cache, HASH, layers=[{"digest": "environment"}])
    unused = registry.push(cache, OTHER, layers=[{"digest": "old environment"}])
    image = registry.push(REPOSITORY, HASH, layers=[{"digest": "base"}, {"digest": "environment"}])
    cluster = FakeClusterOfImages(pod(_location(image)))
    _prune(cluster, registry, older_than=WEEK)
    assert registry.has(cache, unused)
    _prune(cluster, registry, now=NOW + WEEK, older_than=WEEK)
    assert not registry.has(cache, unused)
    assert registry.has(cache, used)
    assert not cluster.kept


def test_a_registry_without_a_catalog(registry: FakeRegistry) -> None:
    registry.lists = False
    known = registry.push(REPOSITORY, HASH)
    unknown = registry.push("modelyard/team/gone", HASH, config={})
    _prune(FakeClusterOfImages(record("diabetes", 1, "elsewhere")), registry)
    assert not registry.has(REPOSITORY, known)
    assert registry.has("modelyard/team/gone", unknown)


def test_a_registry_that_deletes_nothing(registry: FakeRegistry) -> None:
    registry.deletes = False
    registry.push(REPOSITORY, HASH)
    with pytest.raises(RegistryRefusedError, match=rf"{HOST} has deletion switched off"):
        _prune(FakeClusterOfImages(), registry)
