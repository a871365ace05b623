"""Removes from the registry what nobody has needed for some time.

Nothing that comes into use meanwhile is lost, whenever this process ends. A version is recorded before its
image is looked for by its tag, and what is recorded counts as in use or as being built. So first the tags go;
then, when the operator remembers no answer of the registry from before, the cluster is looked at once more:
who found the image before its tag went can be seen there, and who looks later builds it again.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from modelyard.digest_lookup import DIGEST_TTL_SECONDS
from modelyard.image_gc.cluster_usage import Marks
from modelyard.image_gc.plan import (
    Plan,
    hidden,
    plan,
    reason,
)
from modelyard.image_gc.repository import (
    Shelf,
    Stored,
)
from modelyard.image_gc.usage import Uses

_SETTLE: Final = 2 * DIGEST_TTL_SECONDS  # seconds: longer than the operator believes what the registry said


class Cluster(Protocol):
    """Of a cluster, what pruning takes; see modelyard.image_gc.cluster_usage."""

    def uses(self) -> Uses: ...

    def marks(self) -> Marks: ...

    def mark(self, marks: Marks) -> None: ...


@dataclass(frozen=True)
class Survey:
    """Images, and the layers that they share."""

    images: Plan
    layers: Plan

    @property
    def marks(self) -> Marks:
        return {**self.images.marks, **self.layers.marks}


def survey(cluster: Cluster, shelf: Shelf, now: dt.datetime, older_than: dt.timedelta) -> Survey:
    """Look at everything, change nothing."""
    marks = cluster.marks()
    uses = cluster.uses()
    found = shelf.images(uses.known)
    entries = shelf.cached_layers()
    left = [stored for stored in hidden(marks, [*found, *entries]) if shelf.has(stored)]
    images = plan([*found, *left], lambda stored: reason(stored, uses), marks, now, older_than)
    staying = [stored for stored, _ in (*images.kept, *images.waiting)] if entries else []
    shared = frozenset[str]().union(*map(shelf.layers, staying))
    return Survey(
        images,
        plan(entries, lambda entry: "in use" if shelf.layers(entry) & shared else "", marks, now, older_than),
    )


def prune(
    cluster: Cluster,
    shelf: Shelf,
    found: Survey,
    tell: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Remove what is due, and remember since when the rest is unused.

    Raises RegistryError and KubeError; what was removed until then stays so, and the next call goes on.
    """
    cluster.mark(found.marks)
    removed = _prune_images(cluster, shelf, [stored for stored, _ in found.images.due], tell, sleep)
    for entry, _ in found.layers.due:
        shelf.remove(entry)
        tell(f"deleted {entry.name}")
        removed.add(entry.name)
    if removed:
        cluster.mark({name: since for name, since in found.marks.items() if name not in removed})


def _prune_images(
    cluster: Cluster,
    shelf: Shelf,
    due: Sequence[Stored],
    tell: Callable[[str], None],
    sleep: Callable[[float], None],
) -> set[str]:
    if not due:
        return set()
    manifests = {stored: shelf.hide(stored) for stored in due}
    sleep(_SETTLE)
    uses = cluster.uses()
    for stored, manifest in manifests.items():
        if because := reason(stored, uses):
            shelf.show(stored, manifest)
            tell(f"kept {stored.name}: {because}")
        else:
            shelf.remove(stored)
            tell(f"deleted {stored.name}")
    return {stored.name for stored in due}
