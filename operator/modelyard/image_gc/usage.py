"""Which objects of the cluster use which image, found without a request."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

import orjson

from modelyard.api import labels
from modelyard.api.kinds import IMAGE
from modelyard.kube.types import Json

K = TypeVar("K")

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Usage:
    """The images that the cluster uses. Repositories are paths without the registry's host."""

    users_by_digest: Mapping[str, tuple[str, ...]]
    """Digest of an image → names of the objects that contain it."""
    users_by_tag: Mapping[tuple[str, str], tuple[str, ...]]
    """Repository and tag → names of the objects that contain both."""
    building: frozenset[str]
    """Repositories of Images with an unfinished version, which may use an older image at any time."""
    repositories: frozenset[str]
    """Repositories of all Images of the cluster."""

    def users(self, repository: str, digest: str, tags: Iterable[str]) -> tuple[str, ...]:
        """Return the sorted names of the objects that use an image, empty if none does."""
        by_tag = (user for tag in tags for user in self.users_by_tag.get((repository, tag), ()))
        return tuple(sorted({*self.users_by_digest.get(digest, ()), *by_tag}))


class UsageBuilder:
    """Collects the usage of images from the objects of the cluster, one object at a time.

    A use is every digest, and every image name below `prefix`, anywhere in an object. So the result covers
    running pods, the pod templates of all workloads, and the recorded location of each version of an Image.
    The last keeps images for a Service that names `name:version`, and for rollbacks.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._image_name = re.compile(rf"/({re.escape(prefix)}/[a-z0-9._/-]+):(\w[\w.-]*)")
        self._by_digest: dict[str, set[str]] = defaultdict(set)
        self._by_tag: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._building: set[str] = set()
        self._repositories: set[str] = set()

    def add(self, body: Json) -> None:
        """Add what one object uses. It must have the field `kind`, which items of a list lack."""
        text = orjson.dumps(body).decode()
        for digest in _DIGEST.findall(text):
            self._by_digest[digest].add(_display_name(body))
        for repository, tag in self._image_name.findall(text):
            self._by_tag[repository, tag].add(_display_name(body))
        if image := _image_of_revision(body):
            self._repositories.add(f"{self._prefix}/{image}")
            if labels.STATE not in body["metadata"].get("annotations", {}):
                self._building.add(f"{self._prefix}/{image}")

    def build(self) -> Usage:
        """Return the usage by all objects so far."""
        return Usage(
            _sorted(self._by_digest),
            _sorted(self._by_tag),
            frozenset(self._building),
            frozenset(self._repositories),
        )


def _sorted(users: Mapping[K, set[str]]) -> dict[K, tuple[str, ...]]:
    return {key: tuple(sorted(names)) for key, names in users.items()}


def _display_name(body: Json) -> str:
    """Return the name of an object for people: `Image team/diabetes:3` for the revision of a version."""
    metadata = body["metadata"]
    revision = labels.parse_revision_name(metadata["name"]) if "revision" in body else None
    if revision:
        return f"{revision.kind} {metadata['namespace']}/{revision.name}:{revision.version}"
    return f"{body['kind']} {metadata['namespace']}/{metadata['name']}"


def _image_of_revision(body: Json) -> str | None:
    """Return `namespace/name` of the Image whose version an object records, None for another object."""
    revision = labels.parse_revision_name(body["metadata"]["name"]) if "revision" in body else None
    if revision is None or revision.kind != IMAGE.name:
        return None
    return f"{body['metadata']['namespace']}/{revision.name}"
