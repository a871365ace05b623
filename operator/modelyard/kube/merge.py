"""Comparison of live and desired objects, and merge patches: pure functions over JSON."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from modelyard.kube.quantity import parse_quantity
from modelyard.kube.types import Json


def fingerprint(value: Any) -> str:
    """Return a short hash of JSON, such as a desired object: equal hashes need no comparison."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def covers(live: Any, desired: Any) -> bool:
    """Return whether a live value has all of a desired value; fields that others added do not count."""
    if isinstance(desired, dict):
        return isinstance(live, dict) and all(covers(live.get(key), value) for key, value in desired.items())
    if isinstance(desired, list):
        if not desired and live is None:
            return True  # the API server omits empty lists
        return (
            isinstance(live, list)
            and len(live) == len(desired)
            and all(covers(current, value) for current, value in zip(live, desired, strict=True))
        )
    return bool(live == desired) or _same_quantity(live, desired)


def _same_quantity(live: Any, desired: Any) -> bool:
    # The API server writes quantities in its own canonical form: 0.1 becomes 100m.
    if not isinstance(live, str) or not isinstance(desired, str | int) or isinstance(desired, bool):
        return False
    quantity = parse_quantity(desired)
    return quantity is not None and quantity == parse_quantity(live)


def changes(live: Json, desired: Json) -> Json:
    """Return the merge patch (RFC 7386) that makes `live` cover `desired`, empty if it does already.

    A list is replaced as a whole.
    """
    patch: Json = {}
    for key, value in desired.items():
        current = live.get(key)
        if isinstance(value, dict) and isinstance(current, dict):
            if nested := changes(current, value):
                patch[key] = nested
        elif not covers(current, value):
            patch[key] = value
    return patch


def replacement(old: Json, new: Json) -> Json:
    """Return the merge patch (RFC 7386) that turns `old` into exactly `new`, empty if they are equal."""
    patch: Json = {key: None for key in old if key not in new}
    for key, value in new.items():
        current = old.get(key)
        if isinstance(value, dict) and isinstance(current, dict):
            if nested := replacement(current, value):
                patch[key] = nested
        elif key not in old or current != value:
            patch[key] = value
    return patch


def apply_merge_patch(target: Any, patch: Any) -> Any:
    """Return a value after a merge patch (RFC 7386). The order of the keys that stay is kept."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = apply_merge_patch(merged.get(key), value)
    return merged
