"""Owner references of children."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.api.names import API_VERSION
from modelyard.api.owners import Owner, owner_of, owner_reference

OWNER = Owner("Service", "web", "uid-1")


def _child(*references: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "web", "ownerReferences": list(references)}}


def test_owner_reference_parses_to_the_same_owner() -> None:
    assert owner_of(_child(owner_reference(OWNER))) == OWNER


def test_owner_reference_does_not_block_the_deletion_of_the_owner() -> None:
    assert owner_reference(OWNER)["blockOwnerDeletion"] is False


@pytest.mark.parametrize(
    "change",
    [{"controller": False}, {"apiVersion": "apps/v1"}, {"apiVersion": "modelyard.dev/v2"}],
    ids=["no controller", "other group", "other version"],
)
def test_other_references_name_no_owner(change: dict[str, Any]) -> None:
    assert owner_reference(OWNER)["apiVersion"] == API_VERSION
    assert owner_of(_child(owner_reference(OWNER) | change)) is None


def test_object_without_references_has_no_owner() -> None:
    assert owner_of({"metadata": {"name": "web"}}) is None
