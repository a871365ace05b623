"""The limit of pods to nodes of the architectures of their image."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.resources.architecture import ARCHITECTURE, architectures_of, limit_architectures

BOTH = {"key": ARCHITECTURE, "operator": "In", "values": ["amd64", "arm64"]}
ZONE = {"key": "zone", "operator": "In", "values": ["a"]}
POOL = {"key": "pool", "operator": "Exists"}
PREFERRED = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {}}]}


def required(*terms: dict[str, Any], **more: Any) -> dict[str, Any]:
    selector = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"nodeAffinity": selector | more}


@pytest.mark.parametrize(
    ("selector", "architectures", "expected"),
    [
        ({"pool": "a"}, (), {"pool": "a"}),
        ({ARCHITECTURE: "amd64"}, (), {ARCHITECTURE: "amd64"}),
        ({"pool": "a"}, ("arm64",), {"pool": "a", ARCHITECTURE: "arm64"}),
        ({ARCHITECTURE: "amd64"}, ("arm64",), {ARCHITECTURE: "arm64"}),
        ({ARCHITECTURE: "arm64"}, ("amd64", "arm64"), {ARCHITECTURE: "arm64"}),
    ],
    ids=["unknown", "unknown, chosen", "one", "replaced", "chosen of two"],
)
def test_one_architecture_is_a_node_selector(
    selector: dict[str, str], architectures: tuple[str, ...], expected: dict[str, str]
) -> None:
    found, affinity = limit_architectures(selector, {}, architectures)
    assert (found, affinity) == (expected, {})
    limit = (expected[ARCHITECTURE],) if ARCHITECTURE in expected else ()
    assert architectures_of({"nodeSelector": found}) == limit


@pytest.mark.parametrize(
    ("affinity", "expected"),
    [
        ({}, required({"matchExpressions": [BOTH]})),
        (
            required({"matchExpressions": [ZONE]}, {"matchFields": [POOL]}, **PREFERRED),
            required(
                {"matchExpressions": [ZONE, BOTH]},
                {"matchFields": [POOL], "matchExpressions": [BOTH]},
                **PREFERRED,
            ),
        ),
        (required({"matchExpressions": [BOTH, ZONE]}), required({"matchExpressions": [BOTH, ZONE]})),
        (required({}, {"matchExpressions": [ZONE]}), required({}, {"matchExpressions": [ZONE, BOTH]})),
        ({"podAffinity": {}}, {"podAffinity": {}, **required({"matchExpressions": [BOTH]})}),
    ],
    ids=["none", "each term", "present", "empty term", "of pods"],
)
def test_several_architectures_are_a_required_node_affinity(
    affinity: dict[str, Any], expected: dict[str, Any]
) -> None:
    selector, found = limit_architectures({"pool": "a"}, affinity, ("arm64", "amd64"))
    assert (selector, found) == ({"pool": "a"}, expected)
    limit = architectures_of({"nodeSelector": selector, "affinity": found})
    assert limit == ("amd64", "arm64")
    assert limit_architectures(selector, found, limit) == (selector, found)


def test_architecture_that_an_index_lacks_is_removed_from_the_selector() -> None:
    selector, affinity = limit_architectures({ARCHITECTURE: "s390x"}, {}, ("amd64", "arm64"))
    assert (selector, affinity) == ({}, required({"matchExpressions": [BOTH]}))


def test_other_affinities_limit_no_architecture() -> None:
    alternatives = required({"matchExpressions": [BOTH]}, {"matchExpressions": [ZONE]})
    excluded = required({"matchExpressions": [BOTH | {"operator": "NotIn"}]})
    assert [architectures_of({"affinity": item}) for item in (alternatives, excluded, {})] == [()] * 3
