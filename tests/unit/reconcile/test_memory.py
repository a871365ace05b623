"""Large contents: the cache holds hashes and references, and a reconcile reads what it needs."""

from __future__ import annotations

import pytest
from tests.unit.operator_harness import OperatorHarness, image, manifest, model, sample_objects, service

from modelyard.kube.errors import Conflict, NotFound
from modelyard.kube.types import REVISIONS, Key
from modelyard.reconcile.contents import read_content

LARGE = "# " + "x" * 100_000
MANIFEST = Key("Manifest", "default", "m")


def large_manifest(text: str = LARGE) -> dict[str, object]:
    return manifest(assets=[{"id": "driver", "content": f"{text}\ndef run(body): return body"}])


def reads(harness: OperatorHarness, resource: str) -> int:
    return sum((call.verb, call.resource) == ("get", resource) for call in harness.cluster.calls)


async def test_large_spec_is_built_and_not_cached(harness: OperatorHarness) -> None:
    harness.apply(model(), large_manifest(), image(), service())
    await harness.play()
    assert harness.summary("Service") == ("m:1", "Succeeded", "Serving")
    obj = harness.cache.objects.get(MANIFEST)
    assert obj
    assert (obj.spec, obj.has_whole_spec) == ({"modelIds": ["m"]}, False)
    harness.change("Model", url="https://h/2")
    await harness.play()
    assert harness.summary("Service") == ("m:2", "Succeeded", "Serving")
    harness.apply(large_manifest(LARGE + "y"))
    await harness.play()
    assert harness.summary("Service") == ("m:3", "Succeeded", "Serving")
    assert harness.builds == 3


async def test_large_spec_that_changes_before_its_read_is_reconciled_as_changed(
    harness: OperatorHarness,
) -> None:
    harness.apply(model(), large_manifest())
    harness.apply(large_manifest(LARGE + "y"))
    await harness.play()
    assert harness.cluster.at(REVISIONS, "manifest-m-1")["data"]["assets"][0]["content"].startswith(
        LARGE + "y"
    )
    assert harness.summary("Manifest")[:2] == ("m:1", "Succeeded")


async def test_small_spec_and_its_new_content_are_never_read_back(harness: OperatorHarness) -> None:
    harness.apply(*sample_objects())
    await harness.play()
    assert harness.builds == 1
    assert [reads(harness, plural) for plural in ("manifests", "controllerrevisions")] == [0, 0]


async def test_build_after_a_restart_reads_the_contents(harness: OperatorHarness) -> None:
    harness.apply(model(), manifest())
    await harness.play()
    await harness.stop()
    harness.apply(image())
    await harness.start()
    await harness.play()
    assert harness.summary("Image") == ("m:1", "Succeeded", "Built")
    assert reads(harness, "controllerrevisions") == 2


async def test_content_of_a_replaced_or_deleted_version_is_refused(harness: OperatorHarness) -> None:
    harness.apply(model())
    await harness.play()
    revision = harness.cache.revisions.newest(Key("Model", "default", "m"))
    assert revision
    revision.content_hash = "of other content"
    with pytest.raises(Conflict):
        await read_content(harness.ctx, revision)
    harness.cluster.remove(REVISIONS, "default", "model-m-1")
    with pytest.raises(NotFound):
        await read_content(harness.ctx, revision)
