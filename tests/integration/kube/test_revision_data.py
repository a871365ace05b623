"""The data of ControllerRevisions: the API server in memory refuses the same changes as the real one."""

from __future__ import annotations

import contextlib
import copy
import datetime as dt
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import orjson
import pytest
from tests.support.cluster import Kubectl
from tests.support.texts import TEXTS
from tests.unit.fake_api_server import FakeApiServer, go_json

from modelyard.kube.canonical import canonical_json
from modelyard.kube.client import Client
from modelyard.kube.errors import Conflict, Immutable
from modelyard.kube.interface import KubeClient
from modelyard.kube.kubeconfig import connect
from modelyard.kube.transport import Request
from modelyard.kube.types import REVISIONS, Json

ENCODERS: Final[dict[str, Callable[[Any], bytes]]] = {"canonical": canonical_json, "legacy": orjson.dumps}
PATCH: Final[Json] = {"metadata": {"annotations": {"example.com/a": "<&>"}}}
APPLY: Final = "application/apply-patch+yaml"


def body(data: Json) -> Json:
    return {**REVISIONS.header(), "metadata": {"name": "r"}, "revision": 1, "data": data}


def escaped(value: Json) -> bytes:
    """Return JSON that is also YAML, which takes control characters as escapes only."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", r"\u007f").encode()


async def accepts(call: Callable[[], Any]) -> bool:
    """Return whether a call succeeds; False if it is refused as a change of an immutable field."""
    with contextlib.suppress(Immutable):
        await call()
        return True
    return False


async def updates(client: KubeClient, namespace: str) -> dict[str, bool]:
    """Return which forms of a change the API server accepts."""
    live = await client.get(REVISIONS, namespace, "r")
    live["metadata"].setdefault("annotations", {})["example.com/b"] = "1"
    del live["metadata"]["resourceVersion"]
    accepted = {
        f"update {name}": await accepts(
            lambda encode=encode: client.update(REVISIONS, namespace, "r", copy.deepcopy(live), encode=encode)
        )
        for name, encode in ENCODERS.items()
    }
    patch = await accepts(lambda: client.patch(REVISIONS, namespace, "r", PATCH))
    changed = await accepts(lambda: client.patch(REVISIONS, namespace, "r", {"data": {"new": "1"}}))
    return accepted | {"merge patch": patch, "change of data": changed}


@pytest.fixture
async def real(kubeconfig: object) -> AsyncIterator[Client]:
    client = await connect()
    yield client
    await client.close()


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_fake_and_real_api_server_refuse_the_same_changes(
    real: Client, namespace: str, text: str, encoder: str
) -> None:
    data = {"b": text, "a": {"d": 1, "c": [True, text]}}
    fake = FakeApiServer(lambda: dt.datetime.now(dt.UTC))
    fake.put(REVISIONS, namespace, body(data), ENCODERS[encoder])
    create = Request("POST", REVISIONS.path(namespace), body=body(data), encode=ENCODERS[encoder])
    await real._json(create)

    assert await updates(real, namespace) == await updates(fake, namespace)

    # The garbage collector orphans a dependent by a strategic merge patch.
    def orphan() -> None:
        patch = '{"metadata":{"annotations":{"example.com/c":"1"}}}'
        Kubectl(namespace)("patch", "controllerrevision", "r", "--type=strategic", f"--patch={patch}")

    assert _succeeds(orphan) == _succeeds(lambda: fake.orphan(REVISIONS, namespace, "r"))


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_canonical_data_is_accepted_in_every_form(real: Client, namespace: str, text: str) -> None:
    data = {"b": text, "a": {"d": 1, "c": [True, text]}}
    await real.create(REVISIONS, namespace, body(data))
    kubectl = Kubectl(namespace)
    await real.patch(REVISIONS, namespace, "r", PATCH)
    kubectl("patch", "controllerrevision", "r", "--type=strategic", f"--patch={go_json(PATCH).decode()}")
    kubectl("annotate", "controllerrevision", "r", "example.com/edited=1")
    apply = Request("PATCH", REVISIONS.path(namespace, "r"), {"fieldManager": "test", "force": "true"})
    await real._json(apply._replace(body=body(data), content_type=APPLY, encode=escaped))
    kubectl("replace", "--filename=-", stdin=kubectl("get", "controllerrevision", "r", "--output=json"))
    live = await real.get(REVISIONS, namespace, "r")
    assert live["data"] == data


def _succeeds(action: Callable[[], Any]) -> bool:
    try:
        action()
    except (Immutable, RuntimeError) as error:
        assert "field is immutable" in str(error)
        return False
    return True


async def test_deletion_with_an_old_resource_version_is_refused(real: Client, namespace: str) -> None:
    fake = FakeApiServer(lambda: dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    clients: tuple[KubeClient, ...] = (real, fake)
    for client in clients:
        await client.create(REVISIONS, namespace, body({}))
        old = (await client.get(REVISIONS, namespace, "r"))["metadata"]["resourceVersion"]
        new = (await client.patch(REVISIONS, namespace, "r", PATCH))["metadata"]["resourceVersion"]
        with pytest.raises(Conflict):
            await client.delete(REVISIONS, namespace, "r", resource_version=old)
        await client.delete(REVISIONS, namespace, "r", resource_version=new)
        assert await client.get_or_none(REVISIONS, namespace, "r") is None
