"""An API server in memory behind the methods of modelyard.kube.interface.KubeClient, and a registry.

It behaves like the real one where an operator depends on it: resourceVersions, generations, uids, the status
subresource, merge patches, defaults and owner references. The bytes of `data` of a ControllerRevision are
immutable. Watches lag behind. Calls fail or never return.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime as dt
import json
import random
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Final, NamedTuple

import orjson
from tests.unit.chart_rights import Right, gateway_rights, rights

from modelyard.api.crd import UNOBSERVED_STATUS
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.coded_error import CodedError
from modelyard.kube.canonical import canonical_json
from modelyard.kube.client import METADATA_LIST, METADATA_ONLY, TABLE
from modelyard.kube.errors import AlreadyExists, Conflict, Forbidden, Gone, Immutable, NotFound, Rejected
from modelyard.kube.transport import Encoder
from modelyard.kube.types import (
    CONFIG_MAPS,
    CORE_SERVICES,
    DEPLOYMENTS,
    EVENTS,
    GATEWAYS,
    PODS,
    REVISIONS,
    SECRETS,
    SERVICE_ACCOUNTS,
    ApiResource,
    Json,
    Page,
)

Key = tuple[ApiResource, str, str]  # with namespace and name

_MAX_SECRET_BYTES: Final = 1024 * 1024
_SLOW: Final = 0.1  # share of calls and events that others overtake, with a schedule
WRITES: Final = {"create", "patch", "update", "delete"}
_UNITS: Final = {"cpu": {"0.5": "500m", "2000m": "2"}, "memory": {"1024Mi": "1Gi"}}


class Killed(BaseException):
    """The operator's process ended in the middle of a call."""


class Call(NamedTuple):
    """A request of the operator."""

    verb: str
    resource: str
    name: str = ""
    subresource: str = ""


class Event(NamedTuple):
    """A change that watches report."""

    version: int
    resource: ApiResource
    type: str
    body: Json


WITHOUT_GENERATION: Final = frozenset({CONFIG_MAPS, CORE_SERVICES, EVENTS, REVISIONS, SECRETS})
"""Resources of Kubernetes 1.37 whose objects have no `metadata.generation`."""


@dataclass(eq=False)
class _Watcher:
    """The position of a watch in the history."""

    position: int
    open: bool = True
    wake: asyncio.Event = field(default_factory=asyncio.Event)  # a change, or the end of the watch


@dataclass
class FakeApiServer:
    """Objects by resource, namespace and name, and the history of their changes."""

    now: Callable[[], dt.datetime]
    schedule: random.Random | None = None  # of calls and watches; None: first come, first served
    objects: dict[Key, Json] = field(default_factory=dict)
    history: list[Event] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)  # pod → log
    fault: Callable[[int, Call], None] = lambda number, call: None  # before a call takes effect; may raise
    lost: Callable[[int, Call], None] = lambda number, call: None  # after it; may raise
    unserved: set[ApiResource] = field(default_factory=set)  # resources whose CRDs are not installed
    denied: set[str] = field(default_factory=set)  # namespaces without a Role for the operator
    own_namespace: str | None = None  # of the operator; if set, calls need the rights of the chart
    used: set[tuple[bool, Right]] = field(default_factory=set)  # in the operator's own namespace or not
    dead: bool = False
    without_generation: frozenset[ApiResource] = WITHOUT_GENERATION
    collects: bool = True  # whether the garbage collector runs
    active_calls: int = 0
    version: int = 100
    oldest_version: int = 0
    _watchers: list[_Watcher] = field(default_factory=list)
    _data: dict[str, bytes] = field(default_factory=dict)  # uid of a ControllerRevision → its data as sent

    # calls of the operator

    async def get(self, resource: ApiResource, namespace: str, name: str) -> Json:
        async with self._called("get", resource, name, namespace=namespace):
            return copy_json(self._at(resource, namespace, name))

    async def get_or_none(self, resource: ApiResource, namespace: str, name: str) -> Json | None:
        try:
            return await self.get(resource, namespace, name)
        except NotFound:
            return None

    async def list_all(self, resource: ApiResource, namespace: str | None, **query: str) -> list[Json]:
        return [item async for page in self.pages(resource, namespace, **query) for item in page.items]

    async def pages(
        self,
        resource: ApiResource,
        namespace: str | None,
        accept: str = "application/json",
        **query: str,
    ) -> AsyncIterator[Page]:
        """Yield two pages, so that readers of one page only are found."""
        async with self._called("list", resource, namespace=namespace):
            selector, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
            found = [
                _row(body, self.now()) if accept == TABLE else _shown(body, accept == METADATA_LIST)
                for body in self.all(resource)
                if namespace in {None, body["metadata"]["namespace"]}
                and _selects(selector, body)
                and _selects_fields(fields, body)
            ]
            version = str(self.version)
        yield Page(found[:1], "more", version)
        yield Page(found[1:], None, version)

    async def create(self, resource: ApiResource, namespace: str, body: Json) -> Json:
        async with self._called("create", resource, body["metadata"]["name"], namespace=namespace):
            return _shown(self.put(resource, namespace, body), metadata_only=True)

    async def create_token(self, namespace: str, account: str, audience: str, seconds: int) -> str:
        async with self._called("create", SERVICE_ACCOUNTS, account, "token", namespace=namespace):
            self._at(SERVICE_ACCOUNTS, namespace, account)
            return f"token of {namespace}/{account} for {audience} {seconds} s"

    async def patch(
        self, resource: ApiResource, namespace: str, name: str, patch: Json, subresource: str | None = None
    ) -> Json:
        async with self._called("patch", resource, name, subresource or "", namespace=namespace):
            return _shown(self.change(resource, namespace, name, patch, subresource), metadata_only=True)

    async def update(
        self,
        resource: ApiResource,
        namespace: str,
        name: str,
        body: Json,
        *,
        encode: Encoder = canonical_json,
    ) -> Json:
        async with self._called("update", resource, name, namespace=namespace):
            return _shown(self.replace(resource, namespace, name, body, encode), metadata_only=True)

    async def delete(
        self,
        resource: ApiResource,
        namespace: str,
        name: str,
        uid: str | None = None,
        *,
        resource_version: str | None = None,
    ) -> None:
        async with self._called("delete", resource, name, namespace=namespace):
            body = self.objects.get(self._key(resource, namespace, name))
            if body and resource_version not in {None, body["metadata"]["resourceVersion"]}:
                raise Conflict("the ResourceVersion in the precondition does not match")
            if body and uid and body["metadata"]["uid"] != uid:
                raise Conflict("the UID in the precondition does not match")
            self.remove(resource, namespace, name)

    async def log(self, namespace: str, pod: str, **query: str) -> str:
        async with self._called("log", PODS, pod, namespace=namespace):
            if pod not in self.logs:
                raise Rejected("previous terminated container not found")
            return "" if query.get("previous") == "true" else self.logs[pod]

    async def log_lines(self, namespace: str, pod: str, **query: str) -> AsyncGenerator[str, None]:
        """Yield the lines of a log; its container has ended."""
        log = await self.log(namespace, pod)
        for line in log.splitlines()[-int(query.get("tailLines", 0)) :]:
            yield line

    async def watch(
        self,
        resource: ApiResource,
        namespace: str | None,
        version: str,
        accept: str = "application/json",
        *,
        on_open: Callable[[], None] = lambda: None,
        **query: str,
    ) -> AsyncIterator[Json]:
        async with self._called("watch", resource, namespace=namespace):
            if int(version) < self.oldest_version:
                raise Gone("too old resource version")
        on_open()
        selector, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
        async for event in self.follow(resource, namespace, int(version)):
            if _selects(selector, event.body) and _selects_fields(fields, event.body):
                yield {"type": event.type, "object": _shown(event.body, accept == METADATA_ONLY)}

    async def follow(
        self, resource: ApiResource, namespace: str | None, version: int
    ) -> AsyncIterator[Event]:
        """Yield every event of a resource after a version, until the cluster hangs up."""
        start = next((at for at, event in enumerate(self.history) if event.version > version), None)
        watcher = _Watcher(len(self.history) if start is None else start)
        self._watchers.append(watcher)
        try:
            while watcher.open:
                if watcher.position == len(self.history):
                    watcher.wake.clear()
                    await watcher.wake.wait()
                    continue
                event = self.history[watcher.position]
                if event.resource == resource and namespace in {None, event.body["metadata"]["namespace"]}:
                    await self._lag()
                    if watcher.open:
                        yield event
                watcher.position += 1
        finally:
            self._watchers.remove(watcher)

    @property
    def all_delivered(self) -> bool:
        """Return whether every watch has reported every event."""
        return all(watcher.position == len(self.history) for watcher in self._watchers)

    @property
    def writes(self) -> list[Call]:
        """Return the writes of the operator."""
        return [call for call in self.calls if call.verb in WRITES]

    @property
    def created(self) -> Counter[tuple[str, str]]:
        """Count the objects that the operator created, by resource and name, without events."""
        return Counter(
            (call.resource, call.name)
            for call in self.calls
            if call.verb == "create" and call.resource != EVENTS.plural
        )

    # changes by others: none is counted, and none fails by injection

    def apply(self, body: Json, namespace: str = "default") -> Json:
        """Write a custom object as `kubectl apply` does."""
        resource, name = CUSTOM_RESOURCES[body["kind"]], body["metadata"]["name"]
        known = self.objects.get(self._key(resource, namespace, name))
        if known is None:
            return self.put(resource, namespace, body)
        gone = {key: None for key in known["spec"] if key not in body["spec"]}
        return self.change(resource, namespace, name, {**body, "spec": body["spec"] | gone})

    def put(
        self, resource: ApiResource, namespace: str, body: Json, encode: Encoder = canonical_json
    ) -> Json:
        """Create an object; `encode` makes the bytes of the request."""
        key = self._key(resource, namespace, body["metadata"]["name"])
        if key in self.objects:
            raise AlreadyExists(f"{resource.plural} {key[2]!r} already exists", reason="AlreadyExists")
        if resource == SECRETS:
            _require_secret_fits(body)
        body = _defaulted(resource, copy_json(body))
        if resource in CUSTOM_RESOURCES.values():
            body["status"] = dict(UNOBSERVED_STATUS)
        body["metadata"] |= {
            "namespace": namespace,
            "uid": str(uuid.uuid4()),
            "creationTimestamp": self.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        if resource not in self.without_generation:
            body["metadata"]["generation"] = 1
        self.objects[key] = body
        if resource == REVISIONS:
            self._data[body["metadata"]["uid"]] = encode(body["data"])
            body["data"] = orjson.loads(encode(body["data"]))  # in the order of the keys as sent
        self._commit(resource, "ADDED", body)
        if self.collects:
            self.collect()
        return body

    def change(
        self, resource: ApiResource, namespace: str, name: str, patch: Json, subresource: str | None = None
    ) -> Json:
        """Apply a merge patch (RFC 7386); a patch without effect makes no event."""
        body = self._at(resource, namespace, name)
        version = patch.get("metadata", {}).get("resourceVersion")
        if version not in {None, body["metadata"]["resourceVersion"]}:
            raise Conflict("the object has been modified", status=409, reason="Conflict")
        if patch.get("metadata", {}).get("uid") not in {None, body["metadata"]["uid"]}:
            raise Immutable("metadata.uid: Invalid value: field is immutable", status=422, reason="Invalid")
        if subresource:
            patch = {subresource: patch[subresource]}
        elif resource in CUSTOM_RESOURCES.values():
            patch = {part: value for part, value in patch.items() if part != "status"}
        after = _defaulted(resource, merge_patch(body, patch))
        if resource == REVISIONS:
            data = self._data[body["metadata"]["uid"]]
            self._check_data(body, go_json(after["data"]) if "data" in patch else html_escaped(data))
        return self._store(resource, body, after)

    def replace(
        self,
        resource: ApiResource,
        namespace: str,
        name: str,
        body: Json,
        encode: Encoder = canonical_json,
    ) -> Json:
        """Replace an object; `encode` makes the bytes of the request."""
        before = self._at(resource, namespace, name)
        if body["metadata"].get("resourceVersion") not in {None, before["metadata"]["resourceVersion"]}:
            raise Conflict("the object has been modified", status=409, reason="Conflict")
        if resource == REVISIONS:
            self._check_data(before, encode(body["data"]))
        return self._store(resource, before, _defaulted(resource, copy_json(body)))

    def delete_orphaning(
        self, resource: ApiResource, name: str, namespace: str = "default", *, finish: bool = True
    ) -> bool:
        """Delete an object as `kubectl delete --cascade=orphan` does: its dependents stay.

        Returns whether the garbage collector could patch all dependents. It ends the deletion only then.
        """
        owner = self.at(resource, name, namespace)
        deleting = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["orphan"]}
        self._store(resource, owner, merge_patch(owner, {"metadata": deleting}))
        patched = True
        for (dependent, space, its_name), body in list(self.objects.items()):
            owners = {reference["uid"] for reference in body["metadata"].get("ownerReferences", ())}
            if owner["metadata"]["uid"] in owners:
                try:
                    self.orphan(dependent, space, its_name)
                except Immutable:
                    patched = False
        if patched and finish:
            self.remove(resource, namespace, name)
        return patched

    def write_legacy_data(self, body: Json) -> None:
        """Let a ControllerRevision have been created by release 0.2.0: unsorted keys, no escapes."""
        key = self._key(REVISIONS, body["metadata"]["namespace"], body["metadata"]["name"])
        self.objects[key] = body
        self._data[body["metadata"]["uid"]] = orjson.dumps(body["data"])

    def orphan(self, resource: ApiResource, namespace: str, name: str) -> None:
        """Remove the owner references of an object as the garbage collector does: by a strategic patch."""
        body = self._at(resource, namespace, name)
        if resource == REVISIONS:
            self._check_data(body, go_json(body["data"]))
        self._store(resource, body, merge_patch(body, {"metadata": {"ownerReferences": None}}))

    def remove(self, resource: ApiResource, namespace: str, name: str, *, reported: bool = True) -> None:
        """Delete an object and its dependents; unless `reported`, its own watch misses the deletion."""
        if (body := self.objects.pop(self._key(resource, namespace, name), None)) and reported:
            self._commit(resource, "DELETED", body)
        if self.collects:
            self.collect()

    def hang_up(self) -> None:
        """End every watch."""
        for watcher in self._watchers:
            watcher.open = False
            watcher.wake.set()

    def compact(self) -> None:
        """Drop the history: a watch from an older version gets 410 Gone."""
        self.oldest_version = self.version

    def at(self, resource: ApiResource, name: str, namespace: str = "default") -> Json:
        """Return the live object."""
        return self._at(resource, namespace, name)

    def all(self, resource: ApiResource) -> list[Json]:
        """Return all objects of a resource."""
        return [body for (kept, _, _), body in self.objects.items() if kept == resource]

    # internals

    @contextlib.asynccontextmanager
    async def _called(
        self,
        verb: str,
        resource: ApiResource,
        name: str = "",
        subresource: str = "",
        *,
        namespace: str | None = None,
    ) -> AsyncIterator[None]:
        self.active_calls += 1
        self._authorize(verb, resource, subresource, namespace)
        try:
            if resource in self.unserved:
                raise NotFound("the server could not find the requested resource", status=404)
            async with self._recorded(Call(verb, resource.plural, name, subresource), namespace):
                yield
        finally:
            self.active_calls -= 1

    def _authorize(self, verb: str, resource: ApiResource, subresource: str, namespace: str | None) -> None:
        """Record the right that a call needs; raises AssertionError if the chart does not give it."""
        if self.own_namespace is None:
            return
        verb, subresource = ("get", "log") if verb == "log" else (verb, subresource)
        right = Right(verb, f"{resource.qualified}/{subresource}".rstrip("/"))
        if resource == GATEWAYS:
            assert right in gateway_rights(), f"the chart's role has no {right} ({namespace})"
            return
        is_own = namespace == self.own_namespace
        assert right in rights(own_namespace=is_own), f"the chart's role has no {right} ({namespace})"
        self.used.add((is_own, right))

    @contextlib.asynccontextmanager
    async def _recorded(self, call: Call, namespace: str | None) -> AsyncIterator[None]:
        await self._lag()
        if self.dead:
            raise Killed
        self.calls.append(call)
        number = len(self.calls)
        self.fault(number, call)
        if namespace in self.denied:
            raise Forbidden(f'{call.resource} is forbidden: User "x" cannot {call.verb}', status=403)
        yield
        self.lost(number, call)
        await self._lag()

    async def _lag(self) -> None:
        for _ in range(self._turns()):
            await asyncio.sleep(0)

    def _turns(self) -> int:
        """Return the turns of the event loop that a call or an event takes: a few take much longer."""
        if self.schedule is None:
            return 1
        is_slow = self.schedule.random() < _SLOW
        return self.schedule.randrange(6, 60) if is_slow else self.schedule.randrange(1, 6)

    @staticmethod
    def _key(resource: ApiResource, namespace: str, name: str) -> Key:
        return resource, namespace, name

    def _at(self, resource: ApiResource, namespace: str, name: str) -> Json:
        try:
            return self.objects[self._key(resource, namespace, name)]
        except KeyError:
            raise NotFound(f"{resource.plural} {name!r} not found", status=404, reason="NotFound") from None

    def _check_data(self, body: Json, data: bytes) -> None:
        """Raise Immutable if the data of a ControllerRevision would have other bytes than at its creation."""
        if data != self._data[body["metadata"]["uid"]]:
            name = body["metadata"]["name"]
            message = f'ControllerRevision.apps "{name}" is invalid: data: Invalid value: field is immutable'
            raise Immutable(message, status=422, reason="Invalid")

    def _store(self, resource: ApiResource, before: Json, after: Json) -> Json:
        if after == before:
            return before
        if after.get("spec") != before.get("spec") and "generation" in before["metadata"]:
            after["metadata"]["generation"] += 1
        metadata = after["metadata"]
        if resource == SECRETS:
            time = self.now().strftime("%Y-%m-%dT%H:%M:%SZ")
            metadata["managedFields"] = [{"operation": "Update", "time": time}]
        self.objects[self._key(resource, metadata["namespace"], metadata["name"])] = after
        self._commit(resource, "MODIFIED", after)
        return after

    def _commit(self, resource: ApiResource, type_: str, body: Json) -> None:
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        self.history.append(Event(self.version, resource, type_, copy_json(body)))
        for watcher in self._watchers:
            watcher.wake.set()

    def collect(self) -> None:
        """Delete the objects whose owners do not exist."""
        alive = {body["metadata"]["uid"] for body in self.objects.values()}
        for (resource, namespace, name), body in list(self.objects.items()):
            owners = {owner["uid"] for owner in body["metadata"].get("ownerReferences", ())}
            if owners and not owners & alive:
                self.remove(resource, namespace, name)


class FakeDigestLookup:
    """A registry that knows digests by reference."""

    def __init__(self) -> None:
        self.images: dict[str, str] = {}
        self.unsigned: set[str] = set()  # references of images that do not count as built
        self.architectures_of_builds: tuple[str, ...] = ()  # of images that have none of their own
        self.architectures_by_digest: dict[str, tuple[str, ...]] = {}
        self.architecture_errors: list[CodedError] = []  # of the next lookups of architectures
        self.error: CodedError | None = None
        self.references: list[str] = []  # of the lookups
        self.answers = asyncio.Event()  # cleared: lookups do not end
        self.answers.set()

    @property
    def asked(self) -> int:
        """Return the number of lookups that the registry has answered."""
        return len(self.references)

    async def digest(self, reference: str) -> str | None:
        await asyncio.sleep(0)
        await self.answers.wait()
        self.references.append(reference)
        if self.error:
            raise self.error
        repository, _, digest = reference.partition("@")
        if digest:
            has_it = (repository, digest) in {(n.rpartition(":")[0], d) for n, d in self.images.items()}
            return digest if has_it else None
        return self.images.get(reference)

    async def architectures(self, reference: str, digest: str) -> tuple[str, ...]:
        if self.architecture_errors:
            raise self.architecture_errors.pop()
        return self.architectures_by_digest.get(digest, self.architectures_of_builds)

    async def built(self, reference: str) -> str | None:
        return None if reference in self.unsigned else await self.digest(reference)


def copy_json(value: Any) -> Any:
    """Return a copy of a JSON value, ten times as fast as `copy.deepcopy`."""
    return orjson.loads(orjson.dumps(value))


def html_escaped(encoded: bytes) -> bytes:
    """Return JSON as Go's encoder copies it: the characters that HTML interprets become escapes."""
    text = encoded.decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def go_json(value: Any) -> bytes:
    """Return a JSON value as Go's encoder writes it after it was decoded: with sorted keys."""
    return html_escaped(json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode())


def merge_patch(target: Any, patch: Any) -> Any:
    """Return the target after a merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return copy_json(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def _require_secret_fits(body: Json) -> None:
    """Raise the error of the real API server for a Secret whose data has more than 1 MiB."""
    size = sum(len(base64.b64decode(value)) for value in body.get("data", {}).values())
    if size > _MAX_SECRET_BYTES:
        raise Rejected("data: Too long: may not be more than 1048576 bytes", status=422, reason="Invalid")


def _defaulted(resource: ApiResource, body: Json) -> Json:
    """Return an object as the API server writes it: without empty lists, with canonical quantities."""
    if resource in CUSTOM_RESOURCES.values():
        return body
    if resource == DEPLOYMENTS:
        body["spec"].setdefault("replicas", 1)
    return body if resource == REVISIONS else _canonical(body)


def _canonical(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _canonical(item, name) for name, item in value.items() if item != []}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return _UNITS.get(key, {}).get(value, value)


def _selects(selector: str, body: Json) -> bool:
    labels = body["metadata"].get("labels", {})
    pairs = (part.split("=", 1) for part in selector.split(",") if part)
    return all(labels.get(key) == value for key, value in pairs)


def _selects_fields(selector: str, body: Json) -> bool:
    pairs = (part.split("=", 1) for part in selector.split(",") if part)
    return all(_at_path(body, path) == value for path, value in pairs)


def _at_path(body: Json, path: str) -> Any:
    return reduce(lambda at, step: at.get(step, {}), path.split("."), body)


def _row(pod: Json, now: dt.datetime) -> Json:
    """Return the row of a pod in a table, with its restarts and the age of the last one."""
    containers = pod.get("status", {}).get("containerStatuses", ())
    restarts = sum(item.get("restartCount", 0) for item in containers)
    ends = [item["lastState"]["terminated"] for item in containers if item.get("lastState")]
    times = [dt.datetime.fromisoformat(end["finishedAt"]) for end in ends if end.get("finishedAt")]
    age = f" ({_human(now - max(times))} ago)" if restarts and times else ""
    return {"Name": pod["metadata"]["name"], "Restarts": f"{restarts}{age}"}


def _human(age: dt.timedelta) -> str:
    """Return an age with its first unit only."""
    seconds = int(age.total_seconds())
    for unit, least, size in (("d", 2 * 86400, 86400), ("h", 3 * 3600, 3600), ("m", 120, 60)):
        if seconds >= least:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _shown(body: Json, metadata_only: bool) -> Json:
    kept = {"kind": "PartialObjectMetadata", "metadata": body["metadata"]} if metadata_only else body
    return copy_json(kept)
