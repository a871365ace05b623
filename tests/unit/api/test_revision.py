"""Versions as ControllerRevisions record them."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.api.kinds import IMAGE
from modelyard.api.owners import Owner
from modelyard.api.revision import FullRevision, Revision, content_hash
from modelyard.api.status import State
from modelyard.kube.types import Key
from modelyard.resources.revision import controller_revision

OWNER = Owner("Image", "m", "uid-of-m")
CONTENT = {"manifestId": "m:1", "imageType": "Docker"}
ANNOTATIONS = {
    "modelyard.dev/state": "Failed",
    "modelyard.dev/ended": "2026-01-01T00:00:00Z",
    "modelyard.dev/error": '{"code": "PipFailed", "message": "failed"}',
    "modelyard.dev/about": '{"tags": ["a"]}',
    "modelyard.dev/build-log": "image-m-3-log",
    "example.com/other": "x",
}


def revision_body(**metadata: Any) -> dict[str, Any]:
    body = controller_revision(OWNER, 3, CONTENT, ANNOTATIONS)
    body["metadata"] |= {"namespace": "default", "resourceVersion": "7", "creationTimestamp": "then"}
    body["metadata"] |= metadata
    return body


def test_controller_revision_is_parsed_with_its_operation() -> None:
    parsed = FullRevision.read(revision_body())
    assert parsed
    assert (parsed.data, parsed.references) == (CONTENT, ("m:1",))
    assert parsed.content_hash == content_hash(CONTENT)
    assert (parsed.key, parsed.kind, parsed.version) == (Key("Image", "default", "m"), IMAGE, 3)
    assert (parsed.id, parsed.name, parsed.display_name) == ("m:3", "image-m-3", "m")
    assert (parsed.state, parsed.ended) == (State.FAILED, "2026-01-01T00:00:00Z")
    assert (parsed.error, parsed.about) == ({"code": "PipFailed", "message": "failed"}, {"tags": ["a"]})
    assert (parsed.has_build_log, parsed.location, parsed.registration) == (True, None, None)
    assert "example.com/other" not in parsed.annotations


def test_controller_revision_without_annotations_has_no_operation_yet() -> None:
    parsed = Revision.read(revision_body(annotations=None))
    assert parsed
    assert (parsed.state, parsed.error, parsed.about, parsed.has_build_log) == (None, None, {}, False)


@pytest.mark.parametrize(
    "metadata",
    [
        {"name": "image-other-3"},
        {"name": "image-m-4"},
        {"name": "service-m-3"},
        {"ownerReferences": []},
        {"ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "controller": True}]},
    ],
    ids=["other object", "other version", "other kind", "no owner", "owner of another API"],
)
def test_controller_revision_of_another_name_or_owner_is_ignored(metadata: dict[str, Any]) -> None:
    assert Revision.read(revision_body(**metadata)) is None
