"""Which objects of the cluster use which image, a pure function of the objects."""

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


def find_usage(objects: Iterable[Json], prefix: str) -> Usage:
    """Return the usage of images by these objects of the cluster.

    A use is every digest, and every image name below `prefix`, anywhere in an object. So the result covers
    running pods, the pod templates of all workloads, and the recorded location of each version of an Image.
    The last keeps images for a Service that names `name:version`, and for rollbacks.
    """
    image_name = re.compile(rf"/({re.escape(prefix)}/[a-z0-9._/-]+):(\w[\w.-]*)")
    by_digest: dict[str, set[str]] = defaultdict(set)
    by_tag: dict[tuple[str, str], set[str]] = defaultdict(set)
    building = set()
    repositories = set()
    for body in objects:
        text = orjson.dumps(body).decode()
        for digest in _DIGEST.findall(text):
            by_digest[digest].add(_display_name(body))
        for repository, tag in image_name.findall(text):
            by_tag[repository, tag].add(_display_name(body))
        if image := _image_of_revision(body):
            repositories.add(f"{prefix}/{image}")
            if labels.STATE not in body["metadata"].get("annotations", {}):
                building.add(f"{prefix}/{image}")
    return Usage(_sorted(by_digest), _sorted(by_tag), frozenset(building), frozenset(repositories))


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
