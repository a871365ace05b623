"""Who needs which image: read from the objects of the cluster, whatever their kind."""

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
class Uses:
    """What the cluster needs of the registry; repositories are paths, without the registry."""

    digests: Mapping[str, tuple[str, ...]]  # of an image → who names it
    tags: Mapping[tuple[str, str], tuple[str, ...]]  # repository and tag → who names it
    building: frozenset[str]  # repositories in which a version is being built, or looked for
    known: frozenset[str]  # repositories of the Images there are

    def of(self, repository: str, digest: str, tags: Iterable[str]) -> tuple[str, ...]:
        """Who needs an image; empty when nobody does."""
        by_tag = (name for tag in tags for name in self.tags.get((repository, tag), ()))
        return tuple(sorted({*self.digests.get(digest, ()), *by_tag}))


def uses_of(objects: Iterable[Json], prefix: str) -> Uses:
    """Every digest and every name below `prefix` that stands anywhere in an object counts as a use.

    So pods count by what they run, workloads of all kinds by what they would run, and each version of an
    Image by the location in its record: also what a Service stays at with `name:version`, and what it may be
    rolled back to.
    """
    named = re.compile(rf"/({re.escape(prefix)}/[a-z0-9._/-]+):(\w[\w.-]*)")
    digests: dict[str, set[str]] = defaultdict(set)
    tags: dict[tuple[str, str], set[str]] = defaultdict(set)
    building = set()
    known = set()
    for body in objects:
        text = orjson.dumps(body).decode()
        for digest in _DIGEST.findall(text):
            digests[digest].add(_name(body))
        for repository, tag in named.findall(text):
            tags[repository, tag].add(_name(body))
        if image := _image_of(body):
            known.add(f"{prefix}/{image}")
            if labels.STATE not in body["metadata"].get("annotations", {}):
                building.add(f"{prefix}/{image}")
    return Uses(_sorted(digests), _sorted(tags), frozenset(building), frozenset(known))


def _sorted(found: Mapping[K, set[str]]) -> dict[K, tuple[str, ...]]:
    return {key: tuple(sorted(names)) for key, names in found.items()}


def _name(body: Json) -> str:
    """What people call an object: `Image team/diabetes:3` for the record of a version."""
    metadata = body["metadata"]
    revision = labels.parse_revision_name(metadata["name"]) if "revision" in body else None
    if revision:
        return f"{revision.kind} {metadata['namespace']}/{revision.name}:{revision.version}"
    return f"{body['kind']} {metadata['namespace']}/{metadata['name']}"


def _image_of(body: Json) -> str | None:
    """`namespace/name` of the Image that an object records a version of."""
    revision = labels.parse_revision_name(body["metadata"]["name"]) if "revision" in body else None
    if revision is None or revision.kind != IMAGE.name:
        return None
    return f"{body['metadata']['namespace']}/{revision.name}"
