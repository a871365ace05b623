"""CRDs of other programs in the cluster, for the time of a test."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support.cluster import Json, Kubectl, eventually

_CLUSTER: Final = Kubectl("default")


@contextlib.contextmanager
def created_crds(folder: Path) -> Iterator[None]:
    """Create the CRDs in the files of a folder for the context.

    Raises RuntimeError if one of them exists: then another program reconciles the same objects.
    """
    files = ("--filename", str(folder))
    _CLUSTER("create", *files)
    try:
        # kubectl wait fails for a CRD whose status has the conditions null, as that of a new one.
        found = "get", *files, "--output", "json"
        eventually(
            lambda: all(map(_is_established, json.loads(_CLUSTER(*found))["items"])), 60, f"CRDs of {folder}"
        )
        yield
    finally:
        _CLUSTER("delete", *files, "--wait=false", "--ignore-not-found")


def _is_established(crd: Json) -> bool:
    conditions = crd.get("status", {}).get("conditions") or ()
    return any((one["type"], one["status"]) == ("Established", "True") for one in conditions)
