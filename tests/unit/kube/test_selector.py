"""Label selectors of queries."""

from __future__ import annotations

import pytest

from modelyard.kube.selector import parse_selector

LABELS = {"modelyard.dev/service": "m", "tier": "gold"}


@pytest.mark.parametrize(
    ("text", "selects"),
    [
        ("", True),
        ("modelyard.dev/service=m", True),
        ("modelyard.dev/service==m,tier=gold", True),
        ("modelyard.dev/service=m,tier=silver", False),
        ("tier!=silver", True),
        ("absent!=x", True),
        ("tier in (silver, gold)", True),
        ("tier notin (silver,gold)", False),
        ("absent notin (x)", True),
        ("absent in ()", False),
        ("tier", True),
        ("!tier", False),
        ("!absent,tier", True),
        ("absent=", False),
        (" tier = gold , tier in ( gold )", True),
    ],
)
def test_selector_selects_by_all_its_conditions(text: str, selects: bool) -> None:
    assert parse_selector(text).matches(LABELS) is selects


@pytest.mark.parametrize("text", ["a b", "a=b=c", ",", "a in b", "in (a)(b)", "a=b,,c", "a%3Db", "a=b;c"])
def test_text_that_is_no_selector_is_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="is not a condition on a label"):
        parse_selector(text)


def test_selector_in_json_has_expressions() -> None:
    assert parse_selector("").to_json() is None
    assert parse_selector("a=b,!c").to_json() == {
        "matchExpressions": [
            {"key": "a", "operator": "In", "values": ["b"]},
            {"key": "c", "operator": "DoesNotExist"},
        ]
    }
