"""Names of objects for the display names and ids of clients.

A display name that Kubernetes accepts is the object's name. Any other, such as `Model_1.pkl`, is reduced to
the accepted characters, with a short hash so that two display names never share an object. The object has the
display name in spec.name.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final

from modelyard.api.kinds import SERVICE, Kind
from modelyard.api.names import MAX_NAME, VersionReference, is_object_name

_DNS_LABEL: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_OTHERS: Final = re.compile(r"[^a-z0-9]+")
_ID: Final = re.compile(r"(.+):([1-9][0-9]{0,8})", re.DOTALL)
_HASH_DIGITS: Final = 8


def is_valid_name(kind: Kind, name: str) -> bool:
    """Return whether Kubernetes accepts a name for an object of this kind."""
    if kind is SERVICE and not _DNS_LABEL.fullmatch(name):
        return False
    return is_object_name(name) and len(name) <= MAX_NAME


def object_name(kind: Kind, name: str) -> str:
    """Return the object's name for a display name. The result depends on nothing else."""
    if is_valid_name(kind, name):
        return name
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    reduced = _OTHERS.sub("-", ascii_name).strip("-")
    readable = reduced if reduced[:1].isalpha() else f"{kind.singular}-{reduced}".strip("-")
    digest = hashlib.sha256(name.encode()).hexdigest()[:_HASH_DIGITS]
    return f"{readable[: MAX_NAME - _HASH_DIGITS - 1].rstrip('-')}-{digest}"


def parse_id(kind: Kind, text: str) -> VersionReference:
    """Parse `name:version` or `name`, where the name may be a display name."""
    match = _ID.fullmatch(text)
    if match is None:
        return VersionReference(object_name(kind, text), None)
    return VersionReference(object_name(kind, match[1]), int(match[2]))


def possible_references(kind: Kind, text: str) -> tuple[VersionReference, ...]:
    """Return what a filter may refer to: all versions of a name and, for an id, one version."""
    by_name = VersionReference(object_name(kind, text), None)
    by_id = parse_id(kind, text)
    return (by_name,) if by_id == by_name else (by_name, by_id)
