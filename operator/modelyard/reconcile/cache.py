"""What the operator knows of the cluster, in memory: our objects, their records, their children.

Watches fill it, and writers tell it what they have just written, so that an older event that is still on its
way changes nothing. It is the only shared state of the process and is touched on the event loop only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from modelyard.api.kinds import IMAGE, MANIFEST, MODEL, SERVICE
from modelyard.api.names import parse_version_reference
from modelyard.kube.types import ApiResource, Json
from modelyard.reconcile.objects import (
    BuildJob,
    BuildSnapshot,
    Child,
    CustomObject,
    Revision,
    Rollout,
)
from modelyard.reconcile.workqueue import Key
from modelyard.resources import labels
from modelyard.resources.revision import Owner, owner_of

ChildKey = tuple[str, str, str]  # plural, namespace, name


class Cache:
    """All of it."""

    def __init__(self) -> None:
        self._items: dict[Key, CustomObject] = {}
        self._records: dict[Key, dict[int, Revision]] = defaultdict(dict)
        self._children: dict[ChildKey, Child] = {}
        self._jobs: dict[Key, dict[str, BuildJob]] = defaultdict(dict)
        self._looks: dict[str, BuildSnapshot] = {}
        self._dependents: dict[Key, set[Key]] = defaultdict(set)
        self._creating: set[ChildKey] = set()
        self._statuses: dict[Key, Json] = {}  # that are being written

    # what is being written here: the watch may tell of it before the answer comes, and then it is no news

    @contextmanager
    def creating(self, resource: ApiResource, namespace: str, name: str) -> Iterator[None]:
        """A child or a record is being created while the context lasts."""
        key = (resource.plural, namespace, name)
        self._creating.add(key)
        try:
            yield
        finally:
            self._creating.discard(key)

    def is_creating(self, resource: ApiResource, namespace: str, name: str) -> bool:
        """Whether it is being created."""
        return (resource.plural, namespace, name) in self._creating

    @contextmanager
    def writing_status(self, key: Key, status: Json) -> Iterator[None]:
        """A status is being written while the context lasts."""
        self._statuses[key] = status
        try:
            yield
        finally:
            del self._statuses[key]

    # our objects

    def item(self, key: Key) -> CustomObject | None:
        """One of our objects, or None."""
        return self._items.get(key)

    def keys(self) -> list[Key]:
        """All our objects."""
        return list(self._items)

    def put_item(self, kind: str, body: Json) -> Key | None:
        """Take an object as the API server has it; its key when there is something to act on."""
        item = CustomObject.read(kind, body)
        known = self._items.get(item.key)
        # Of an older incarnation too: what a doubt or a write has read may be newer than what is told.
        if known and known.resource_version >= item.resource_version:
            return None
        self._items[item.key] = item
        if known is None or known.spec != item.spec:
            if known:
                self._unlink(known)
            for target in _references(item):
                self._dependents[target].add(item.key)
        elif known.uid == item.uid:
            item.marks = known.marks
        same = (
            known is not None
            and (known.uid, known.generation, known.registration, known.deleting)
            == (item.uid, item.generation, item.registration, item.deleting)
            and item.status in (known.status, self._statuses.get(item.key))
        )  # fmt: skip
        return None if same else item.key

    def drop_item(self, kind: str, body: Json) -> Key:
        """An object has gone; its key."""
        metadata = body["metadata"]
        key = Key(kind, metadata["namespace"], metadata["name"])
        known = self._items.get(key)
        if known and known.uid == metadata.get("uid", known.uid):
            self._unlink(known)
            del self._items[key]
        return key

    def mark_stale(self, key: Key) -> None:
        """Look whether an object is still there at the next reconcile."""
        if item := self._items.get(key):
            item.needs_refetch = True

    def wrote_status(self, item: CustomObject, status: Json, metadata: Json) -> None:
        """A status has just been written."""
        item.status = status
        item.resource_version = max(item.resource_version, int(metadata["resourceVersion"]))

    def dependents(self, key: Key) -> set[Key]:
        """Objects that refer to this one by name."""
        return set(self._dependents.get(key, ()))

    def lagging_dependents(self, record: Revision) -> list[Key]:
        """Objects that are ready, and shall follow this newest version, but still speak of another one."""
        dependents = (self._items[key] for key in self.dependents(record.key))
        return sorted(item.key for item in dependents if _is_behind(item, record))

    def _unlink(self, item: CustomObject) -> None:
        for target in _references(item):
            self._dependents[target].discard(item.key)
            if not self._dependents[target]:
                del self._dependents[target]

    # versions

    def put_record(self, body: Json) -> Revision | None:
        """Take a ControllerRevision; the record when it is news."""
        owner = owner_of(body)
        if owner is None:
            return None
        record = Revision.read(owner, body)
        key = record.key
        known = self._records[key].get(record.version)
        if known and known.resource_version >= record.resource_version:
            return None
        self._records[key][record.version] = record
        return record

    def drop_record(self, body: Json) -> Key | None:
        """A ControllerRevision has gone; the key of its owner, when it is ours."""
        named = labels.parse_revision_name(body["metadata"]["name"])
        if named is None:
            return None
        key = Key(named.kind, body["metadata"]["namespace"], named.name)
        versions = self._records.get(key, {})
        known = versions.get(named.version)
        if known and not _is_older(body["metadata"], known.resource_version):
            del versions[named.version]
        if not versions:
            self._records.pop(key, None)
        return key

    def record(self, key: Key, version: int) -> Revision | None:
        """One version of an object."""
        return self._records.get(key, {}).get(version)

    def newest(self, key: Key) -> Revision | None:
        """The newest version of an object that exists."""
        item = self._items.get(key)
        return max(self._versions(item), key=lambda record: record.version, default=None) if item else None

    def newest_built(self, key: Key) -> Revision | None:
        """The newest version of an Image that is in the registry."""
        item = self._items.get(key)
        built = (record for record in self._versions(item) if record.location) if item else ()
        return max(built, key=lambda record: record.version, default=None)

    def versions(self, item: CustomObject) -> list[Revision]:
        """All versions of an object, the newest first."""
        return sorted(self._versions(item), key=lambda record: record.version, reverse=True)

    def _versions(self, item: CustomObject) -> Iterator[Revision]:
        records = self._records.get(item.key, {}).values()
        return (record for record in records if record.owner_uid == item.uid)

    # children

    def child(self, resource: ApiResource, namespace: str, name: str) -> Child | None:
        """An object that we made, or None."""
        return self._children.get((resource.plural, namespace, name))

    def put_child(self, resource: ApiResource, body: Json) -> Owner | None:
        """Take a child as watched; its owner when that has something to act on."""
        owner = owner_of(body)
        if owner is None:
            return None
        key, known, child = self._child(resource, body, owner)
        if known and known.uid == child.uid:
            ours = known.resource_version == child.resource_version
            # The answer to our own write had no status; what was there before it has one to tell.
            if known.resource_version > child.resource_version or (ours and not child.rollout.observed):
                return None
            # A Deployment's generation moves when somebody else, the autoscaler say, changes its spec; of
            # other children only metadata is watched.
            same_spec = "spec" in body and known.rollout.generation == child.rollout.generation
            child.in_sync = known.in_sync and (ours or same_spec)
        self._children[key] = child
        if known is None and key in self._creating:
            return None
        same = known is not None and (known.uid, known.rollout) == (child.uid, child.rollout)
        return None if same and child.in_sync else owner

    def wrote_child(self, resource: ApiResource, body: Json) -> None:
        """A child has just been written, or been found to be as wanted."""
        owner = owner_of(body)
        if owner is None:
            return
        key, known, child = self._child(resource, body, owner)
        if known and known.uid == child.uid:
            child.resource_version = max(child.resource_version, known.resource_version)
        self._children[key] = child

    def _child(self, resource: ApiResource, body: Json, owner: Owner) -> tuple[ChildKey, Child | None, Child]:
        metadata = body["metadata"]
        key = (resource.plural, metadata["namespace"], metadata["name"])
        known = self._children.get(key)
        before = known.rollout if known and known.uid == metadata["uid"] else Rollout()
        rollout = (
            Rollout.read(body)
            if "status" in body
            else before._replace(generation=metadata.get("generation", 0))
        )
        child = Child(
            uid=metadata["uid"],
            owner_uid=owner.uid,
            resource_version=int(metadata["resourceVersion"]),
            applied=metadata.get("annotations", {}).get(labels.APPLIED),
            rollout=rollout,
        )
        return key, known, child

    def drop_child(self, resource: ApiResource, body: Json) -> None:
        """A child has gone."""
        metadata = body["metadata"]
        key = (resource.plural, metadata["namespace"], metadata["name"])
        known = self._children.get(key)
        if known and not _is_older(metadata, known.resource_version):
            del self._children[key]

    def invalidate(self, resources: Iterable[ApiResource], namespace: str, names: Iterable[str]) -> None:
        """Compare these children with what is wanted at the next reconcile."""
        for resource in resources:
            for name in names:
                if child := self.child(resource, namespace, name):
                    child.in_sync = False

    # build Jobs

    def put_job(self, body: Json) -> Key | None:
        """Take a build Job; the Image's key when it is news."""
        job = BuildJob.read(body)
        if job is None:
            return None
        known = self._jobs[job.image].get(job.name)
        if known and known.uid == job.uid:
            job = job._replace(complete=job.complete or known.complete, pushed=known.pushed)
        self._jobs[job.image][job.name] = job
        return None if job == known else job.image

    def complete_job(self, name: str) -> Key | None:
        """The pod of a build Job has succeeded, which the Job itself says seconds later; the Image's key
        when it is news.
        """
        return self._tell_job(name, lambda job: job._replace(complete=True))

    def job_pushed(self, name: str) -> Key | None:
        """The log of a build Job says that its image is in the registry; the Image's key when it is news."""
        return self._tell_job(name, lambda job: job._replace(pushed=True))

    def _tell_job(self, name: str, said: Callable[[BuildJob], BuildJob]) -> Key | None:
        for image, jobs in self._jobs.items():
            if (job := jobs.get(name)) and (told := said(job)) != job:
                jobs[name] = told
                return image
        return None

    def drop_job(self, name: str) -> Key | None:
        """A build Job has gone; the Image's key when it was known."""
        self._looks.pop(name, None)
        for image, jobs in self._jobs.items():
            if jobs.pop(name, None):
                return image
        return None

    def jobs(self, image: Key) -> list[BuildJob]:
        """The build Jobs of an Image."""
        return list(self._jobs.get(image, {}).values())

    def build_look(self, job: str) -> BuildSnapshot | None:
        """What the build of a Job was last seen to do."""
        return self._looks.get(job)

    def put_build_look(self, job: str, look: BuildSnapshot) -> None:
        """The build of a Job was looked at."""
        self._looks[job] = look

    def images_with_jobs(self) -> list[Key]:
        """Images, existing or not, that have build Jobs."""
        return [key for key, jobs in self._jobs.items() if jobs]


def _references(item: CustomObject) -> set[Key]:
    kind, field = _REFERENCES.get(item.key.kind, (None, ""))
    if kind is None:
        return set()
    return {
        Key(kind, item.key.namespace, parse_version_reference(text).name)
        for text in _texts(item.spec.get(field))
    }


def _is_behind(item: CustomObject, record: Revision) -> bool:
    _, field = _REFERENCES[item.key.kind]
    follows = record.key.name in _texts(item.spec.get(field))  # with a version it would be pinned
    return follows and item.ready and not item.deleting and record.id not in _texts(item.status.get(field))


def _texts(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else value or []


_REFERENCES: Final = {
    MANIFEST.name: (MODEL.name, "modelIds"),
    IMAGE.name: (MANIFEST.name, "manifestId"),
    SERVICE.name: (IMAGE.name, "imageId"),
}


def _is_older(metadata: Json, version: int) -> bool:
    # The name may have been given again while the news of its deletion was on its way.
    return int(metadata.get("resourceVersion", version)) < version
