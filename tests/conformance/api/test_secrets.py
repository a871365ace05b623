"""Tokens, keys and signatures of URLs are in no log, event, status or response except that of their route."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any, Final

import pytest
from tests.conformance.api.conftest import (
    Api,
    image,
    manifest,
    model,
)
from tests.support.cluster import Kubectl
from tests.support.files import Files
from tests.support.operator import SYSTEM

# Fields of custom resources and ControllerRevisions that repeat the URLs of users.
_USER_FIELDS: Final = {"spec", "data"}
_SCORING: Final = "modelyard.dev/service"


@pytest.fixture
def signature() -> str:
    """The secret part of a URL."""
    return f"sig{uuid.uuid4().hex}"


def _texts(account: Kubectl) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each object, event and log of the tests."""
    # Other groups may have kinds of these names.
    kinds = ",".join(f"{kind}.modelyard.dev" for kind in ("models", "manifests", "images", "services"))
    for body in json.loads(account("get", f"{kinds},controllerrevisions", "--output", "json"))["items"]:
        operator_fields = {key: value for key, value in body.items() if key not in _USER_FIELDS}
        yield f"{body['kind']} {body['metadata']['name']}", json.dumps(operator_fields)
    for kubectl, kinds in (
        (account, "configmaps,pods,deployments,services,events.events.k8s.io"),
        (SYSTEM, "configmaps,pods,jobs,deployments,events.events.k8s.io"),
    ):
        for body in json.loads(kubectl("get", kinds, "--output", "json"))["items"]:
            yield f"{body['kind']} {body['metadata']['name']}", json.dumps(body)
    for kubectl, pods in ((SYSTEM, SYSTEM.list("pods")), (account, account.list("pods", _SCORING))):
        for pod in pods:
            name = pod["metadata"]["name"]
            yield f"log of {name}", _log(kubectl, name)


def _log(kubectl: Kubectl, pod: str) -> str:
    """Return the log of a pod, "" if the pod is gone: the Job of an earlier test ends by its time to live."""
    try:
        return kubectl("logs", pod, "--all-containers", "--tail=-1")
    except RuntimeError:
        if kubectl.get_or_none("pod", pod) is None:
            return ""
        raise


def test_secrets_are_in_no_response_or_log(
    api: Api, account: Kubectl, served: Any, files: Files, name: str, signature: str
) -> None:
    keys = api.get(f"/services/{served['id']}/keys")
    token = api.http.headers["Authorization"].removeprefix("Bearer ")
    good = files.url(f"content/{name}?sv=2017&sig={signature}")
    bad = files.url(f"nothing?sv=2017&sig={signature}")
    responses = []
    for url in (good, bad):
        sent = model(name, url=url)
        registered = api.post("/models", sent)
        assert registered["url"] == url, "a reader of models may see the URL"
        body = manifest(name, registered["id"])
        made = api.post("/manifests", body)
        ended = api.finished(api.post("/images", image(name, made["id"]), 202))
        log = api("GET", f"/images/{ended['resourceLocation'].rsplit('/', 1)[1]}/log", 200).text
        responses += [json.dumps(ended), log]
    assert [json.loads(text)["state"] for text in responses[::2]] == ["Succeeded", "Failed"]
    responses.append(api("POST", "/models", 400, json=model(name, url=f"ftp://h/?sig={signature}")).text)
    responses.append(api("GET", "/models", 200, params={"tag": signature}).text)

    texts = [*_texts(account), *((f"response {number}", text) for number, text in enumerate(responses))]
    assert {place.partition(" ")[0] for place, _ in texts} >= {"Image", "Event", "ConfigMap", "log", "Job"}
    for secret in (signature, token, *keys.values()):
        assert [place for place, text in texts if secret in text] == []


def test_gateway_has_no_rights_of_its_own(account: Kubectl) -> None:
    name = f"system:serviceaccount:{SYSTEM.namespace}:modelyard-gateway"
    for verb, kind in (("get", "models.modelyard.dev"), ("list", "controllerrevisions"), ("get", "secrets")):
        for kubectl in (account, SYSTEM):
            with pytest.raises(RuntimeError, match=f"{name}: $"):  # a denial without an error
                kubectl("auth", "can-i", verb, kind, "--as", name)
