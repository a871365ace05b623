"""An API server over HTTP with many copies of one chain of objects, for `tests.bench.operator.start`.

The unit tests' harness makes a Model, a Manifest, an Image and a Service with some versions, and the
children of the Service. Each namespace has a copy of them, in a steady state. Bodies are made for each
response, so that the server itself needs little memory. The last Service of the list has no status yet: the
operator writes one when it has reconciled all objects before.

The copies have other UIDs, so the `applied` hashes of the children do not match. The operator therefore reads
and patches each child, as after an upgrade that changes all of them.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Final, NamedTuple

import orjson
from aiohttp import web
from tests.unit.handlers.test_handlers import DISCOVERY
from tests.unit.operator_harness import OperatorHarness, image, manifest, model, service

from modelyard.api.crd import UNOBSERVED_STATUS
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.types import JOBS, PODS, Json

LATE: Final = "late"  # namespace and name of the Service without a status
VERSIONS: Final = 10  # of each object; large Manifests have one
_NAMESPACE: Final = "default"  # of the harness
_LIST_VERSION: Final = "90000000"
_BOOKMARK_SECONDS: Final = 30.0
_MANAGED_FIELDS: Final = [
    {
        "manager": "modelyard",
        "operation": "Update",
        "apiVersion": "apps/v1",
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:data": {},
            "f:metadata": {
                "f:annotations": {".": {}, "f:modelyard.dev/ended": {}, "f:modelyard.dev/state": {}},
                "f:labels": {".": {}, "f:app.kubernetes.io/managed-by": {}},
                "f:ownerReferences": {".": {}, 'k:{"uid":"x"}': {}},
            },
            "f:revision": {},
        },
    }
]


class Template(NamedTuple):
    """The JSON text of an object of the harness, and the UIDs in its metadata."""

    text: str
    uids: tuple[str, ...]


class LargeApiServer:
    """Answers lists in pages, watches without events, reads, and writes without effect."""

    def __init__(self, copies: int, inline_bytes: int):
        self._copies = copies
        self._inline_bytes = inline_bytes
        self._templates: dict[str, dict[str, Template]] = {}  # plural.group → name → template
        self.writes = 0
        self.reconciled = asyncio.Event()

    async def make_templates(self) -> None:
        """Run the operator of the harness until one chain of objects has its versions."""
        harness = OperatorHarness()
        await harness.start()
        driver = "def run(body): return body"
        source = f"# {'x' * self._inline_bytes}\n{driver}" if self._inline_bytes else driver
        harness.apply(model(), manifest(assets=[{"id": "driver", "content": source}]), image(), service())
        await harness.play()
        for version in range(2, 2 if self._inline_bytes else VERSIONS + 1):
            harness.change("Model", url=f"https://models.example.com/team/model.joblib?versionId={version}")
            await harness.play()
        await harness.stop()
        for (resource, namespace, name), body in harness.cluster.objects.items():
            if namespace == _NAMESPACE and resource not in {JOBS, PODS}:
                body["metadata"]["managedFields"] = _MANAGED_FIELDS
                text = orjson.dumps(body).decode()
                owners = [owner["uid"] for owner in body["metadata"].get("ownerReferences", ())]
                template = Template(text, (body["metadata"]["uid"], *owners))
                self._templates.setdefault(resource.qualified, {})[name] = template
        late = _late_service()
        self._late = orjson.dumps(late).decode()

    def _body(self, template: Template, copy: int) -> str:
        text, uids = template
        namespace = f"team-{copy}"
        text = text.replace(f'"namespace":"{_NAMESPACE}"', f'"namespace":"{namespace}"')
        text = text.replace(f".{_NAMESPACE}.svc", f".{namespace}.svc")
        text = text.replace(f"/namespaces/{_NAMESPACE}/", f"/namespaces/{namespace}/")
        for uid in uids:
            text = text.replace(uid, f"{uid[:-6]}{copy:06d}")
        return text

    def _items(self, resource: str, first: int, limit: int) -> tuple[list[str], int | None]:
        """Return the bodies of a page, and the number of the first object of the next page."""
        templates = list(self._templates.get(resource, {}).values())
        total = len(templates) * self._copies
        end = min(first + limit, total)
        items = [self._body(templates[at % len(templates)], at // len(templates)) for at in range(first, end)]
        if end < total:
            return items, end
        is_last = resource == CUSTOM_RESOURCES["Service"].qualified
        return [*items, self._late] if is_last else items, None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        path = request.path.rstrip("/")
        if path in DISCOVERY:
            return web.json_response(DISCOVERY[path])
        if "watch" in request.query:
            return await self._watch(request)
        resource, namespace, name = _parse(path)
        if request.method == "GET" and name is None:
            return self._list(request, resource)
        return await self._object(request, resource, namespace, name)

    def _list(self, request: web.Request, resource: str) -> web.Response:
        first, limit = int(request.query.get("continue", 0)), int(request.query.get("limit", 10**9))
        items, following = self._items(resource, first, limit)
        if "PartialObjectMetadata" in request.headers.get("Accept", ""):
            items = [_metadata_only(text) for text in items]
        metadata = {"resourceVersion": _LIST_VERSION} | ({"continue": str(following)} if following else {})
        text = f'{{"metadata":{json.dumps(metadata)},"items":[{",".join(items)}]}}'
        return web.Response(text=text, content_type="application/json")

    async def _object(
        self, request: web.Request, resource: str, namespace: str, name: str | None
    ) -> web.Response:
        if request.method != "GET":
            self.writes += 1
        if namespace == LATE and request.path.endswith("/status"):
            self.reconciled.set()
        text, template = None, self._templates.get(resource, {}).get(name or "")
        if namespace == LATE:
            text = self._late
        elif template and namespace.startswith("team-"):
            text = self._body(template, int(namespace.removeprefix("team-")))
        elif request.method == "POST":
            body: Json = orjson.loads(await request.read())
            body["metadata"] |= {"namespace": namespace, "uid": "new", "resourceVersion": _LIST_VERSION}
            return web.json_response(body, status=201)
        if text is None:
            status = {"kind": "Status", "code": 404, "reason": "NotFound", "message": "not found"}
            return web.json_response(status, status=404)
        if request.method == "GET":
            return web.Response(text=text, content_type="application/json")
        return web.Response(text=_metadata_only(text), content_type="application/json")

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": _LIST_VERSION}}}
        while True:
            await response.write(orjson.dumps(bookmark) + b"\n")
            await asyncio.sleep(_BOOKMARK_SECONDS)


def _late_service() -> Json:
    metadata = {
        "name": LATE,
        "namespace": LATE,
        "uid": LATE,
        "generation": 1,
        "resourceVersion": "7",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    return service(LATE) | {"metadata": metadata, "status": dict(UNOBSERVED_STATUS)}


def _parse(path: str) -> tuple[str, str, str | None]:
    """Return plural.group, namespace and name of a path."""
    parts: list[str | None] = list(path.strip("/").split("/"))
    group = "" if parts[0] == "api" else f".{parts[1]}"
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2:
        namespace, parts = str(parts[1]), parts[2:]
    return f"{parts[0]}{group}", namespace, parts[1] if len(parts) > 1 else None


def _metadata_only(text: str) -> str:
    return orjson.dumps({"metadata": orjson.loads(text)["metadata"]}).decode()


async def main() -> None:
    """Serve until killed; print the URL, then a line when the late Service has its status."""
    server = LargeApiServer(int(sys.argv[1]), int(sys.argv[2]))
    await server.make_templates()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    _print(f"http://127.0.0.1:{runner.addresses[0][1]}")
    await server.reconciled.wait()
    _print("reconciled")
    while True:
        await asyncio.sleep(1)
        _print(f"writes {server.writes}")


def _print(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
