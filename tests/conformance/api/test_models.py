"""Models: registered, listed, read."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.conformance.api.conftest import (
    Api,
    model,
)
from tests.support.cluster import Kubectl


def test_model_is_returned_as_sent(api: Api, name: str) -> None:
    sent = model(name, unpack=False, tags=["a", "b"], description="for people")
    registered = api.post("/models", sent)
    assert sent.items() <= registered.items()
    assert registered["version"] == 1
    assert api.get(f"/models/{registered['id']}") == registered


@pytest.mark.parametrize(
    "name", ["Model_1.pkl", "UPPER", "Modell für Größe", "模型", "n" * 200, "a", "1.0", "x y:2", "-"]
)
def test_names_that_kubernetes_rejects_are_accepted(api: Api, name: str) -> None:
    registered = api.post("/models", model(name))
    assert registered["name"] == name
    assert [item["name"] for item in api.all("/models", name=name)] == [name]
    assert api.all("/models", name=registered["id"]) == [registered]


def test_old_versions_of_a_model_stay(api: Api, name: str) -> None:
    versions = [
        api.post("/models", model(name, tags=[str(number)], description=str(number))) for number in range(3)
    ]
    assert [item["version"] for item in versions] == [1, 2, 3]
    assert api.all("/models", name=name) == versions
    assert [api.get(f"/models/{item['id']}") for item in versions] == versions


def test_tag_filter_selects_models(api: Api, name: str) -> None:
    tag = uuid.uuid4().hex
    registered = api.post("/models", model(name, tags=[tag, "other"]))
    api.post("/models", model(name))
    assert api.all("/models", tag=tag) == [registered]
    assert api.all("/models", tag=tag, name=name) == [registered]
    assert api.all("/models", tag="absent") == []


@pytest.mark.parametrize("same", [True, False], ids=["same content", "other content"])
def test_concurrent_registrations_get_versions_of_their_own(
    api: Api, caller: Callable[..., Api], replicas: list[str], name: str, same: bool
) -> None:
    """The registrations alternate between the replicas, which share no state."""
    bodies = [model(name, url=f"data:,{0 if same else number}") for number in range(20)]
    apis = itertools.cycle([caller(url=url) for url in replicas])
    with ThreadPoolExecutor(20) as pool:
        responses = list(pool.map(lambda body, one: one.post("/models", body), bodies, apis))
    assert sorted(response["version"] for response in responses) == list(range(1, 21))
    assert [response["url"] for response in responses] == [body["url"] for body in bodies]
    listed = {item["id"]: item for item in api.all("/models", name=name)}
    assert listed == {response["id"]: response for response in responses}


def test_models_are_visible_to_kubectl_and_to_the_rest_api(api: Api, account: Kubectl, name: str) -> None:
    registered = api.post("/models", model(name))
    spec = account.get("model.modelyard.dev", registered["id"].partition(":")[0])["spec"]
    assert (spec["name"], spec["url"]) == (name, registered["url"])
    applied = f"applied-{uuid.uuid4().hex[:8]}"
    body = {
        "apiVersion": "modelyard.dev/v1alpha1", "kind": "Model", "metadata": {"name": applied},
        "spec": {"name": f"{name} applied", "url": "data:,7", "mimeType": "text/plain", "tags": ["t"]},
    }  # fmt: skip
    account.apply(body)
    account("wait", "--for=condition=Ready", f"model.modelyard.dev/{applied}", "--timeout=30s")
    found = api.get(f"/models/{applied}:1")
    assert (found["name"], found["tags"]) == (f"{name} applied", ["t"])
    assert api.all("/models", name=applied) == [found] == api.all("/models", name=f"{name} applied")


def test_viewer_reads_models(caller: Callable[..., Api], api: Api, name: str) -> None:
    registered = api.post("/models", model(name))
    viewer = caller("viewer")
    assert viewer.get(f"/models/{registered['id']}") == registered
    assert viewer.all("/models", name=name) == [registered]
    viewer("POST", "/models", 403, json=model(name))
