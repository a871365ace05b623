"""Content of references: which content an id such as `m:1` had when a version that refers to it was recorded.

An object that is deleted and created again counts its versions from 1. So the same id may stand for other
content. The ControllerRevision of a Manifest, Image or Service therefore has an annotation with one hash
for each id in its content. If a hash differs, the follower gets a new version, although the id is the same.
Equal content, for example from a backup, has equal hashes and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from modelyard.api.kinds import IMAGE
from modelyard.api.revision import Revision, content_hash

_SEPARATOR: Final = ","  # between the hashes of two references
_NESTED: Final = "."  # between the hash of a version and the hash of the references of that version


def hash_of_referenced(revisions: Iterable[Revision]) -> str:
    """Return the hashes of the versions that a follower refers to, in the order of its ids."""
    return _SEPARATOR.join(_hash(revision) for revision in revisions)


def _hash(revision: Revision) -> str:
    """Return the hash of a version's content, and of the content that the version itself refers to.

    An Image counts as the digest of its image: equal bytes are the same thing for a Service.
    """
    if revision.kind is IMAGE:
        return revision.digest
    own = revision.content_hash
    return f"{own}{_NESTED}{content_hash(revision.referenced)}" if revision.referenced else own


def is_same_content(recorded: str | None, present: str) -> bool:
    """Return True unless the recorded hashes of a follower contradict the present ones.

    A hash that is not recorded, as in ControllerRevisions of releases up to 0.2.0, counts as equal.
    """
    if recorded is None:
        return True
    before, now = recorded.split(_SEPARATOR), present.split(_SEPARATOR)
    return len(before) == len(now) and all(map(_is_same, before, now))


def _is_same(recorded: str, present: str) -> bool:
    recorded_content, _, recorded_nested = recorded.partition(_NESTED)
    content, _, nested = present.partition(_NESTED)
    if recorded_content != content:
        return False
    return not recorded_nested or not nested or recorded_nested == nested


def has_same_content(follower: Revision, ids: Sequence[str], revision: Revision) -> bool:
    """Return True unless a version was recorded with other content of a version that it refers to.

    `ids` are the references of the follower's version.
    """
    if follower.referenced is None:
        return True
    recorded = dict(zip(ids, follower.referenced.split(_SEPARATOR), strict=False))
    return revision.id not in recorded or _is_same(recorded[revision.id], _hash(revision))
