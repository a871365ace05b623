"""What has to change so that a live object says what is wanted: pure functions over JSON."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from modelyard.kube.quantity import parse_quantity
from modelyard.kube.types import Json


def fingerprint(wanted: Json) -> str:
    """A short hash of a wanted object, kept on the child: equal hashes need no comparison."""
    return hashlib.sha256(orjson.dumps(wanted, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def covers(live: Any, wanted: Any) -> bool:
    """Whether a live value says all that is wanted; what the API server or others added does not count."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(covers(live.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        if not wanted and live is None:
            return True  # the API server leaves out lists that are empty
        return (
            isinstance(live, list)
            and len(live) == len(wanted)
            and all(covers(have, want) for have, want in zip(live, wanted, strict=True))
        )
    return bool(live == wanted) or _same_quantity(live, wanted)


def _same_quantity(live: Any, wanted: Any) -> bool:
    # The API server writes quantities in its own canonical form: 0.1 becomes 100m.
    if not isinstance(live, str) or not isinstance(wanted, str | int) or isinstance(wanted, bool):
        return False
    quantity = parse_quantity(wanted)
    return quantity is not None and quantity == parse_quantity(live)


def changes(live: Json, wanted: Json) -> Json:
    """The merge patch (RFC 7386) that makes `live` cover `wanted`; empty when it does. Lists go whole."""
    patch: Json = {}
    for key, want in wanted.items():
        have = live.get(key)
        if isinstance(want, dict) and isinstance(have, dict):
            if nested := changes(have, want):
                patch[key] = nested
        elif not covers(have, want):
            patch[key] = want
    return patch


def replacement(old: Json, new: Json) -> Json:
    """The merge patch that turns `old` into exactly `new`; empty when they are equal."""
    patch: Json = {key: None for key in old if key not in new}
    for key, value in new.items():
        have = old.get(key)
        if isinstance(value, dict) and isinstance(have, dict):
            if nested := replacement(have, value):
                patch[key] = nested
        elif key not in old or have != value:
            patch[key] = value
    return patch
