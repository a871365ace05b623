"""Random access keys of a Service."""

from __future__ import annotations

import base64

from modelyard.api.access_keys import missing_keys


def test_missing_keys_are_random_and_present_keys_stay() -> None:
    made = missing_keys({})
    assert made.keys() == {"primaryKey", "secondaryKey"}
    assert len({*made.values(), *missing_keys({}).values()}) == 4
    assert all(len(base64.b64decode(value)) >= 40 for value in made.values())
    assert missing_keys({"primaryKey": "x", "secondaryKey": ""}).keys() == {"secondaryKey"}
    assert missing_keys(made) == {}
