"""Build requests from manifests and models."""

from __future__ import annotations

import pytest

from modelyard.kube.types import Json
from modelyard.reconcile.builds.credentials import Credentials
from modelyard.reconcile.builds.request import build_request
from modelyard.settings import OperatorSettings

MANIFEST: Json = {
    "assets": [
        {"id": "driver", "content": "x"},
        {"id": "data", "url": "https://h/d", "secretRef": {"name": "b"}, "unpack": True},
    ],
    "driverProgram": "driver",
    "modelIds": ["m:2"],
    "targetRuntime": {"runtimeType": "Python", "properties": {"pipRequirements": "numpy"}},
}
MODELS: dict[str, Json] = {
    "m:2": {"url": "https://h/m", "secretRef": {"name": "a"}},
    "n:1": {"url": "oci://r/n", "name": "n.pkl", "digest": "sha256:1"},
}


def test_request_has_the_inputs_of_manifest_and_models() -> None:
    credentials = Credentials(
        {"a": {"token": "t", "AWS_SECRET_ACCESS_KEY": "x"}, "b": {"username": "u", "tls.key": "x"}}
    )
    request = build_request(
        "default", "m", {"manifestId": "m:3"}, MANIFEST, MODELS, OperatorSettings(), credentials
    )
    assert request.repository == "localhost:5000/modelyard/default/m"
    assert request.base_image == "python:3.11-slim"
    assert request.pip_requirements == "numpy"
    assert [(m.name, m.version, m.source.credentials) for m in request.models] == [
        ("m", 2, {"token": "t"}),
        ("n.pkl", 1, {}),
    ]
    assert [(a.id, a.source.unpack, a.source.credentials) for a in request.assets] == [
        ("driver", False, {}),
        ("data", True, {"username": "u"}),
    ]
    assert request.labels["modelyard.dev/manifest"] == "m:3"
    assert request.labels["modelyard.dev/models"] == "m:2,n:1"


REGISTERED = {"url": "https://h/m", "modelyard.dev/registration": "x"}


@pytest.mark.parametrize(
    ("models", "registrations"),
    [
        ({"m:1": REGISTERED}, {"model m": "x"}),
        ({"m:7": REGISTERED}, {"model m": "x"}),
        ({"m:1": REGISTERED, "m:2": REGISTERED}, {"model m:1": "x", "model m:2": "x"}),
        ({"image:1": REGISTERED}, {"model image": "x"}),
        ({"m:1": {"url": "https://h/m"}}, {}),
    ],
)
def test_registrations_do_not_depend_on_version_numbers(
    models: dict[str, Json], registrations: dict[str, str]
) -> None:
    request = build_request(
        "default", "m", {"manifestId": "m:3"}, MANIFEST, models, OperatorSettings(), Credentials()
    )
    assert request.registrations == registrations
