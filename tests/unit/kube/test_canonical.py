"""JSON in the form of Go's encoder."""

from __future__ import annotations

import json

import pytest
from tests.support.texts import TEXTS
from tests.unit.fake_api_server import go_json, html_escaped

from modelyard.api.crd import build_crd
from modelyard.api.kinds import KINDS
from modelyard.kube.canonical import canonical_json


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_canonical_json_equals_the_encoding_of_go(text: str) -> None:
    value = {"b": text, "a": {"d": [1, True, None, {"y": text, "x": -3}], text: text}, "\u00e9": [], "Z": {}}
    encoded = canonical_json(value)
    assert encoded == go_json(value) == html_escaped(encoded)
    assert json.loads(encoded) == value


def test_content_has_no_fractions() -> None:
    assert '"number"' not in json.dumps([build_crd(kind) for kind in KINDS])
