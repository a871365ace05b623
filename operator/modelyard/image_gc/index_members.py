"""The images in an image index, one for each platform. They have no tags, and their index keeps them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from modelyard.image_gc.plan import reason_to_keep
from modelyard.image_gc.repository import StoredManifest
from modelyard.image_gc.usage import Usage


class IndexMembers:
    """Which index contains which image."""

    def __init__(self, members: Mapping[StoredManifest, Collection[str]]) -> None:
        """`members` has the digests of the images in each index; an image that is no index has none."""
        self._members = members
        self._indexes: dict[str, list[StoredManifest]] = defaultdict(list)
        for index, digests in members.items():
            for digest in sorted(digests):
                self._indexes[StoredManifest(index.repository, digest).name].append(index)

    def __iter__(self) -> Iterator[StoredManifest]:
        """Yield each image that is in an index."""
        for name in self._indexes:
            repository, _, digest = name.partition("@")
            yield StoredManifest(repository, digest)

    def reason_to_keep(self, stored: StoredManifest, usage: Usage) -> str:
        """Return why an image stays, empty if there is no reason.

        An index in use keeps its images. An image in use keeps its index, and so the other images of it.
        """
        if reason := self._own_reason(stored, usage):
            return reason
        for index in self._indexes.get(stored.name, ()):
            if reason := self._own_reason(index, usage):
                return f"in the index {index.digest}: {reason}"
        return ""

    def _own_reason(self, stored: StoredManifest, usage: Usage) -> str:
        if reason := reason_to_keep(stored, usage):
            return reason
        members = self._members.get(stored, ())
        users = {user for digest in members for user in usage.users(stored.repository, digest, ())}
        return ", ".join(sorted(users))
