"""Names and ids: what clients send, and what Kubernetes takes.

A display name that Kubernetes takes is the object's name. Any other, such as `Model_1.pkl`, becomes what is
left of it and a short hash, so that names that differ stay different; the object keeps it in spec.name.
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
_HASH: Final = 8  # hexadecimal digits


def fits(kind: Kind, name: str) -> bool:
    """Whether Kubernetes takes a name for an object of this kind."""
    label = kind is not SERVICE or _DNS_LABEL.fullmatch(name) is not None
    return label and is_object_name(name) and len(name) <= MAX_NAME


def object_name(kind: Kind, name: str) -> str:
    """The object's name for a display name; the same for the same, always."""
    if fits(kind, name):
        return name
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    rest = _OTHERS.sub("-", plain).strip("-")
    readable = rest if rest[:1].isalpha() else f"{kind.singular}-{rest}".strip("-")
    digest = hashlib.sha256(name.encode()).hexdigest()[:_HASH]
    return f"{readable[: MAX_NAME - _HASH - 1].rstrip('-')}-{digest}"


def parse_id(kind: Kind, text: str) -> VersionReference:
    """`name:version`, or `name`; the name may be the display name."""
    match = _ID.fullmatch(text)
    if match is None:
        return VersionReference(object_name(kind, text), None)
    return VersionReference(object_name(kind, match[1]), int(match[2]))


def meanings(kind: Kind, text: str) -> tuple[VersionReference, ...]:
    """What a name filter may mean: all versions of a name, or one version by its id."""
    whole = VersionReference(object_name(kind, text), None)
    parsed = parse_id(kind, text)
    return (whole,) if parsed == whole else (whole, parsed)
