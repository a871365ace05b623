"""Data and annotations of ControllerRevisions that any client may have written."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api_cases.case import SPECS, Good
from tests.api_cases.good import GOOD

from modelyard.api.kinds import KINDS_BY_NAME
from modelyard.api.names import REGISTRATION
from modelyard.api.record_input import content_from, content_problem, parse_content, valid_annotations

DRIVER = {"id": "driver", "content": "x"}


@pytest.mark.parametrize("case", GOOD, ids=str)
def test_content_of_each_valid_spec_is_valid_and_stays_the_same(case: Good) -> None:
    kind = KINDS_BY_NAME[case.kind]
    content = content_from(kind.spec.model_validate(case.manifest()["spec"])) | {REGISTRATION: "x"}
    assert content_problem(kind, content) == ""
    assert parse_content(kind, content) == content


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("Model", {"secretRef": {"name": "../../kube-system/secrets/x"}}, "secretRef.name: "),
        ("Model", {"secretRef": {"name": "x?y"}}, "secretRef.name: "),
        ("Model", {"url": "file:///etc/passwd"}, "url: url must start with one of"),
        ("Model", {"unpack": "true"}, "unpack: "),
        ("Model", {"name": "../x"}, "name: "),
        ("Model", {"mimeType": None}, "mimeType: "),
        ("Model", {REGISTRATION: {"a": 1}}, f"{REGISTRATION} is not a text"),
        ("Manifest", {"modelIds": 5}, "modelIds: "),
        ("Manifest", {"modelIds": ["a:b"]}, "modelIds.0: "),
        ("Manifest", {"modelIds": ["m:99999999999"]}, "modelIds.0: "),
        ("Manifest", {"assets": [DRIVER | {"secretRef": {"name": "x"}}]}, "secretRef is only allowed"),
        ("Manifest", {"assets": [DRIVER, {"id": "../x", "content": ""}]}, "assets.1.id: "),
        ("Image", {"manifestId": ["m:1"]}, "manifestId: "),
        ("Service", {"imageId": "../m"}, "imageId: "),
        ("Service", {"numReplicas": -1}, "numReplicas: "),
    ],
)
def test_data_that_no_spec_may_have_is_a_problem(kind: str, change: dict[str, Any], words: str) -> None:
    assert words in content_problem(KINDS_BY_NAME[kind], SPECS[kind] | change)


@pytest.mark.parametrize("data", [None, [], "x", 5, {}])
def test_data_that_is_no_object_is_a_problem(data: Any) -> None:
    assert all(content_problem(kind, data) for kind in KINDS_BY_NAME.values())


def test_problem_is_short_and_repeats_no_data() -> None:
    problem = content_problem(KINDS_BY_NAME["Model"], {"url": "S3CR3T" * 500, "mimeType": "S3CR3T" * 500})
    assert len(problem) <= 300
    assert "S3CR3T" not in problem


def test_parsed_content_has_no_unknown_fields_and_no_nulls() -> None:
    data = SPECS["Model"] | {"secretRef": None, "extra": {"name": "x"}, "unpack": False}
    assert parse_content(KINDS_BY_NAME["Model"], data) == SPECS["Model"]


@pytest.mark.parametrize(
    ("name", "valid", "invalid"),
    [
        ("state", "Failed", "Exploded"),
        ("ended", "2026-01-01T00:00:00Z", "yesterday"),
        ("error", '{"code": "X", "message": "m"}', '{"message": 5}'),
        ("attempts", "2", "many"),
        ("counted-attempts", "2", "9" * 5000),
        ("image-location", f"r:5000/m/team/m@sha256:{'a' * 64}", "r/m@../../other/manifests/latest"),
        ("build-log", "image-m-1-log", "../../kube-system/configmaps/x"),
        ("about", '{"tags": []}', "[]"),
    ],
)
def test_annotation_that_no_release_writes_counts_as_absent(name: str, valid: str, invalid: str) -> None:
    key = f"modelyard.dev/{name}"
    assert valid_annotations({key: valid, "example.com/x": "y"}) == {key: valid}
    assert valid_annotations({key: invalid}) == {}
