"""Versions in ControllerRevisions: every text, orphaning deletions, and a restore into another namespace."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Final

import pytest
from tests.support.cluster import Json, Kubectl
from tests.support.load import Load
from tests.support.objects import constant_driver, image, manifest, model, service
from tests.support.operator import build_jobs
from tests.support.status import wait_for_status
from tests.support.texts import TEXTS

Make = Callable[..., str]
KINDS: Final = ("mdl", "mft", "img", "msvc")
OURS: Final = "app.kubernetes.io/managed-by=modelyard"
ABOUT: Final[Json] = {"spec": {"description": "<b>&</b>\u2028", "tags": ["a<b", "\U0001f680"]}}
LARGE: Final = 512 * 1024 - 1024  # characters of a driver, with some space for the rest of it
# Two looks at the image, each up to registry.verifySeconds of values.yaml after the time before. Two looks
# that find no image start a build.
LOOKS_SECONDS: Final = 9.0
# Fields that a backup does not restore: docs/backup.md has the same.
NOT_RESTORED: Final = (
    "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields",
    "ownerReferences",
)  # fmt: skip


def with_text(body: Json, text: str) -> Json:
    """Return an object with a text as its display name, which is a file name, and as its registration."""
    body["spec"]["name"] = re.sub(r"[\x00-\x1f\x7f/]", "", text)
    body["metadata"]["annotations"] = {"modelyard.dev/registration": text}
    return body


def objects(text: str, driver: str, url: str, **properties: str) -> list[Json]:
    """Return a Model and a Manifest named m."""
    return [with_text(model("m", url), text), with_text(manifest("m", driver, "m", **properties), text)]


def create(kubectl: Kubectl, items: list[Json]) -> None:
    """Create objects without the annotation of `kubectl apply`, which has a limit of 256 KiB."""
    kubectl("create", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def save(kubectl: Kubectl, kinds: str, selector: str = "") -> list[Json]:
    """Return objects as a backup restores them."""
    items = kubectl.list(kinds, selector)
    for item in items:
        item.pop("status", None)
        for field in NOT_RESTORED:
            item["metadata"].pop(field, None)
    return items


def contents(kubectl: Kubectl) -> dict[str, Json]:
    return {item["metadata"]["name"]: item["data"] for item in kubectl.list("controllerrevisions")}


def owned(kubectl: Kubectl) -> set[bool]:
    return {bool(item["metadata"].get("ownerReferences")) for item in kubectl.list("controllerrevisions")}


def settle(kubectl: Kubectl, version: int, *kinds: str) -> None:
    for kind in kinds:
        ready = _is_observed(kubectl, kind)
        wait_for_status(kubectl, kind, "m", 120, also=ready, state="Succeeded", version=version)


def _is_observed(kubectl: Kubectl, kind: str) -> Callable[[Json], bool]:
    return lambda status: status["observedGeneration"] == kubectl.get(kind, "m")["metadata"]["generation"]


@pytest.mark.parametrize("text", [*TEXTS.values(), "<&>" * 100, "large"], ids=[*TEXTS, "many", "large"])
def test_text_of_any_form_passes_every_change(kubectl: Kubectl, text: str) -> None:
    driver = constant_driver("one") + "# " + text + ("\u00e9" * (LARGE // 2) if text == "large" else "")
    url = "https://example.com/m?version=<1>&sig=2"
    create(kubectl, objects(text[:80], driver, url, pipRequirements="numpy>=1.26,<2"))
    settle(kubectl, 1, "mdl", "mft")
    for kind in ("mdl", "mft"):
        kubectl.patch(kind, "m", ABOUT)
    settle(kubectl, 1, "mdl", "mft")
    kubectl.patch("mdl", "m", {"spec": {"url": "https://example.com/m?version=<2>&sig=2"}})
    settle(kubectl, 2, "mdl", "mft")
    patch = json.dumps({"metadata": {"annotations": {"example.com/a": "<&>"}}})
    kubectl("patch", "controllerrevision", "manifest-m-1", "--type=strategic", f"--patch={patch}")
    before, saved = contents(kubectl), save(kubectl, "mdl,mft")
    for kind in ("mft", "mdl"):
        kubectl("delete", kind, "m", "--cascade=orphan", "--timeout=30s")
    assert owned(kubectl) == {False}
    create(kubectl, saved)
    settle(kubectl, 2, "mdl", "mft")
    assert contents(kubectl) == before
    assert owned(kubectl) == {True}


def test_no_request_fails_while_a_service_is_made_again(shared: Kubectl, make_service: Make) -> None:
    name = make_service("one", numReplicas=2)
    kept = shared.get("deployment", name), shared.secret(f"{name}-keys")
    (saved,) = [item for item in save(shared, "msvc") if item["metadata"]["name"] == name]
    with Load(shared, name, "{}", connections=4, per_second=100) as load:
        shared("delete", "msvc", name, "--cascade=orphan", "--timeout=30s")
        create(shared, [saved])
        wait_for_status(shared, "msvc", name, 60, state="Succeeded", version=1)
        load.wait(2)
        ok, failed, errors = load.total()
    assert (failed, errors) == (0, {})
    assert ok > 100
    deployment = shared.get("deployment", name)
    assert deployment["metadata"]["uid"] == kept[0]["metadata"]["uid"]
    assert deployment["spec"] == kept[0]["spec"]
    assert shared.secret(f"{name}-keys") == kept[1]


def test_restored_namespace_has_its_versions_keys_and_images(
    kubectl: Kubectl, namespace: Callable[[], Kubectl]
) -> None:
    text = " ".join(text for name, text in TEXTS.items() if name != "control")
    create(
        kubectl,
        [
            *objects("R&D <1>", constant_driver("one") + "# " + text, "data:text/plain,1"),
            with_text(image("m"), "R&D <1>"),
            with_text(service("m", "m"), "R&D <1>"),
        ],
    )
    settle(kubectl, 1, *KINDS)
    for kind in KINDS:
        kubectl.patch(kind, "m", ABOUT)
    kubectl.patch("mdl", "m", {"spec": {"url": "data:text/plain,2"}})
    settle(kubectl, 2, *KINDS)
    restored = namespace()
    create(restored, save(kubectl, "controllerrevisions,secrets,configmaps", OURS))
    create(restored, save(kubectl, "mdl,mft,img,msvc"))
    settle(restored, 2, *KINDS)
    assert contents(restored) == contents(kubectl)
    assert owned(restored) == {True}
    assert restored.secret("m-keys") == kubectl.secret("m-keys")
    locations = [item.get("img", "m")["status"]["imageLocation"] for item in (kubectl, restored)]
    assert locations[0] == locations[1]
    time.sleep(LOOKS_SECONDS)
    assert build_jobs(restored.namespace, "m") == []
    assert restored.get("img", "m")["status"]["imageLocation"] == locations[0]
