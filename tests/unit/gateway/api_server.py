"""The API server's HTTP interface over the cluster in memory: what the gateway sends, the cluster does."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable, Mapping
from typing import Final

from tests.unit.fake_api_server import FakeApiServer

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.gateway.cluster import Cluster
from modelyard.gateway.settings import GatewaySettings
from modelyard.kube.errors import NotFound, Rejected, from_status
from modelyard.kube.types import CONFIG_MAPS, REVISIONS, SECRETS, Json

_RESOURCES: Final = {
    resource.path("{}").split("{}")[0] + resource.plural: resource
    for resource in (*CUSTOM_RESOURCES.values(), REVISIONS, SECRETS, CONFIG_MAPS)
}
_PATH: Final = re.compile(r"(/api.*/namespaces/)([^/]+)/([^/]+)(?:/([^/]+))?")
_NAMESPACE: Final = re.compile(r"/api/v1/namespaces/([^/]+)")


class FakeHttpApiServer(Cluster):
    """A cluster with one namespace, which has labels; tokens are names of roles."""

    def __init__(self, cluster: FakeApiServer, labels: Mapping[str, str]):
        super().__init__(GatewaySettings(insecure=True))
        self.cluster = cluster
        self.labels = dict(labels)
        self.sent: list[tuple[str, str, str | None]] = []
        self.fault: Callable[[str, str], None] = lambda method, path: None  # before a call; may raise
        self.lost: Callable[[str, str], None] = lambda method, path: None  # after it; may raise

    async def fetch(
        self,
        method: str,
        path: str,
        token: str | None,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        self.sent.append((method, path, token))
        self.fault(method, path)
        return b"ok"

    async def send(
        self,
        method: str,
        path: str,
        token: str | None,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = "application/json",
    ) -> Json:
        self.sent.append((method, path, token))
        await asyncio.sleep(0)
        self.fault(method, path)
        if token not in {"editor", "viewer"}:
            raise from_status(401, {"message": "Unauthorized", "reason": "Unauthorized"}, None)
        if token == "viewer" and (method != "GET" or "/secrets" in path):
            raise from_status(403, {"message": "forbidden", "reason": "Forbidden"}, None)
        answer = self._answer(method, path, dict(query or {}), body)
        self.lost(method, path)
        return answer

    def _answer(self, method: str, path: str, query: dict[str, str], body: Json | None) -> Json:
        if match := _NAMESPACE.fullmatch(path):
            if match[1] != "default":
                raise NotFound("namespace not found", status=404)
            return {"metadata": {"name": match[1], "labels": self.labels}}
        match = _PATH.fullmatch(path)
        assert match, path
        resource = _RESOURCES[match[1] + match[3]]
        namespace, name = match[2], match[4]
        if method == "POST":
            assert body
            return self.cluster.put(resource, namespace, body)
        if name is None:
            found = [
                item for item in self.cluster.all(resource) if _selected(query.get("labelSelector"), item)
            ]
            return _page(found, int(query["limit"]), query.get("continue"))
        if method == "GET":
            return self.cluster.at(resource, name, namespace)
        if method == "PATCH":
            assert body
            return self.cluster.change(resource, namespace, name, body)
        self.cluster.at(resource, name, namespace)
        self.cluster.remove(resource, namespace, name)
        return {}


def _selected(selector: str | None, body: Json) -> bool:
    if selector is None:
        return True
    label, _, names = selector.partition(" in ")
    value = (body["metadata"].get("labels") or {}).get(label)
    return value is not None and (not names or value in names.strip("()").split(","))


def _page(items: list[Json], limit: int, continue_: str | None) -> Json:
    if continue_ and not continue_.startswith("c"):
        raise Rejected("continue key is not valid", status=400)
    after = base64.b64decode(continue_[1:]).decode() if continue_ else ""
    rest = sorted((item for item in items if item["metadata"]["name"] > after), key=_name)
    shown = rest[:limit]
    more = (
        {"continue": "c" + base64.b64encode(_name(shown[-1]).encode()).decode()} if len(rest) > limit else {}
    )
    return {"items": shown, "metadata": more}


def _name(body: Json) -> str:
    return str(body["metadata"]["name"])
