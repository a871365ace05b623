"""The usage of images in the objects of a fake API server, and the ConfigMap with unused images."""

from __future__ import annotations

import datetime as dt
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.unit.fake_api_server import FakeApiServer

from modelyard.image_gc.cluster_usage import ClusterUsage
from modelyard.kube.interface import KubeClient
from modelyard.kube.types import CONFIG_MAPS, DEPLOYMENTS, PODS, ApiResource, Json, Page
from modelyard.settings import OperatorSettings

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def server() -> FakeApiServer:
    return FakeApiServer(now=lambda: NOW)


def _usage(server: FakeApiServer, **settings: Any) -> ClusterUsage:
    @asynccontextmanager
    async def connect() -> AsyncIterator[KubeClient]:
        yield server

    return ClusterUsage(OperatorSettings(**settings), connect)


def _put(server: FakeApiServer, resource: ApiResource, namespace: str, name: str) -> None:
    containers = [{"name": "c", "image": f"registry.example.com/modelyard/team/m@{DIGEST}"}]
    server.put(
        resource,
        namespace,
        {**resource.header(), "metadata": {"name": name}, "spec": {"containers": containers}},
    )


def test_users_are_objects_of_all_namespaces(server: FakeApiServer) -> None:
    _put(server, PODS, "team", "p")
    _put(server, DEPLOYMENTS, "other", "d")
    users = _usage(server).usage().users("modelyard/team/m", DIGEST, ())
    assert users == ("Deployment other/d", "Pod team/p")


def test_users_are_objects_of_the_watched_namespaces(server: FakeApiServer) -> None:
    _put(server, PODS, "team", "p")
    _put(server, PODS, "other", "p")
    usage = _usage(server, watch_namespaces=("team",)).usage()
    assert usage.users("modelyard/team/m", DIGEST, ()) == ("Pod team/p",)


class _Body(dict[str, Any]):
    """An object that a weak reference can point to."""


def test_usage_holds_one_page_of_objects(server: FakeApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[weakref.ref[_Body]] = []
    held: list[int] = []

    async def pages(resource: ApiResource, namespace: str | None) -> AsyncIterator[Page]:
        for number in range(4):
            held.append(sum(body() is not None for body in read))
            items: list[Json] = [
                _Body(metadata={"name": f"{number}-{n}", "namespace": "team"}) for n in range(5)
            ]
            read.extend(map(weakref.ref, items))
            yield Page(items, None, "1")

    monkeypatch.setattr(server, "pages", pages)
    _usage(server).usage()
    assert len(read) > 4 * 5
    assert max(held) <= 5


def test_first_run_finds_no_saved_times(server: FakeApiServer) -> None:
    assert _usage(server).unused_since() == {}


def test_saved_times_are_replaced(server: FakeApiServer) -> None:
    usage = _usage(server)
    usage.save_unused_since({"m@sha256:1": NOW, "m@sha256:2": NOW})
    usage.save_unused_since({"m@sha256:3": NOW + dt.timedelta(days=1)})
    assert usage.unused_since() == {"m@sha256:3": NOW + dt.timedelta(days=1)}
    (config_map,) = server.all(CONFIG_MAPS)
    assert config_map["metadata"]["name"] == "modelyard-unused-images"
    assert config_map["metadata"]["namespace"] == "modelyard-system"


def test_only_the_oldest_5000_times_are_saved(server: FakeApiServer) -> None:
    usage = _usage(server)
    usage.save_unused_since({f"m@{age}": NOW - dt.timedelta(seconds=age) for age in range(5001)})
    saved = usage.unused_since()
    assert len(saved) == 5000
    assert "m@0" not in saved
