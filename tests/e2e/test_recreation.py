"""The same name again: objects that are deleted and created with other content, and the content served."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
from tests.support.cluster import Json, Kubectl
from tests.support.objects import image, manifest, model, service
from tests.support.status import status

Score = Callable[..., httpx.Response]


def driver(prefix: str) -> str:
    """Return a driver whose response is a prefix and the content of the Model."""
    return f"""\
import os
import pathlib

THREAD_SAFE = True


def init():
    global answer
    (file,) = [path for path in pathlib.Path(os.environ["AZUREML_MODEL_DIR"]).rglob("*") if path.is_file()]
    answer = {prefix!r} + file.read_text()


def run(body):
    return answer
"""


def answer_when_ready(kubectl: Kubectl, score: Score) -> str:
    """Wait until all objects are Ready, and return the answer of that moment."""
    objects = [f"{kind}/m" for kind in ("mdl", "mft", "img", "msvc")]
    kubectl("wait", *objects, "--for=condition=Ready", "--timeout=180s", timeout=190)
    return str(score(kubectl, "m").json())


def replace(kubectl: Kubectl, *items: Json) -> None:
    """Delete objects and create them as `kubectl replace --force` does."""
    body = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    kubectl("replace", "--force", "--filename=-", stdin=body)


def test_recreated_objects_are_ready_only_with_the_new_content_served(kubectl: Kubectl, score: Score) -> None:
    kubectl.apply(model("m", "data:,1"), manifest("m", driver("a"), "m"), image("m"), service("m", "m"))
    assert answer_when_ready(kubectl, score) == "a1"

    kubectl("delete", "mdl", "m")
    kubectl.apply(model("m", "data:,2"))
    assert answer_when_ready(kubectl, score) == "a2"
    assert status(kubectl, "mdl", "m")["id"] == "m:1"

    replace(kubectl, manifest("m", driver("b"), "m"), image("m"), model("m", "data:,3"))
    assert answer_when_ready(kubectl, score) == "b3"
    assert [status(kubectl, kind, "m")["id"] for kind in ("mdl", "mft", "img")] == ["m:1"] * 3
