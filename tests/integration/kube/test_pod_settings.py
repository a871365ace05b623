"""Pod templates with `spec.pod` at a real API server, in a namespace of the Pod Security level restricted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest
from tests.api_cases.pod import EVERY_FIELD

from modelyard.api.owners import Owner
from modelyard.api.service import ServiceSpec
from modelyard.kube.merge import changes
from modelyard.resources import serving
from modelyard.resources.pod_template import ScoringImage
from modelyard.settings import ScoringSettings

OWNER: Final = Owner("Service", "m", "00000000-0000-0000-0000-000000000000")
IMAGE: Final = ScoringImage("registry.invalid/m@sha256:" + "a" * 64)
# Admission looks these objects up; test_refusals.py has the answer for objects that are missing.
LOOKED_UP: Final = {"priorityClassName", "runtimeClassName", "serviceAccountName"}
FIELDS: Final = [*({name: value} for name, value in EVERY_FIELD.items() if name[:6] != "volume")]
VOLUMES: Final = {name: value for name, value in EVERY_FIELD.items() if name[:6] == "volume"}


@pytest.fixture
def restricted(api: httpx.Client, namespace: str) -> Iterator[str]:
    """A namespace that admits pods of the level restricted only."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    patch = {"metadata": {"labels": labels}}
    headers = {"Content-Type": "application/merge-patch+json"}
    api.patch(f"/api/v1/namespaces/{namespace}", json=patch, headers=headers).raise_for_status()
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    api.post(f"/api/v1/namespaces/{namespace}/serviceaccounts", json=account)
    yield namespace


def deployment(pod: dict[str, Any]) -> dict[str, Any]:
    spec = ServiceSpec.model_validate({"imageId": "m", "numReplicas": 1, "pod": pod})
    body = serving.deployment(OWNER, spec, IMAGE, ScoringSettings())
    del body["metadata"]["ownerReferences"]
    return body


def dry_run(api: httpx.Client, path: str, body: dict[str, Any]) -> httpx.Response:
    return api.post(path, params={"dryRun": "All", "fieldValidation": "Strict"}, json=body)


@pytest.mark.parametrize("pod", [{}, *FIELDS, VOLUMES, EVERY_FIELD], ids=lambda pod: ",".join(pod)[:30])
def test_deployment_is_accepted_and_stays_as_desired(
    pod: dict[str, Any], api: httpx.Client, restricted: str
) -> None:
    body = deployment(pod)
    response = dry_run(api, f"/apis/apps/v1/namespaces/{restricted}/deployments", body)
    assert response.status_code == 201, response.text
    assert changes(response.json(), body) == {}


def test_pod_of_every_field_is_admitted(api: httpx.Client, restricted: str) -> None:
    template = deployment({name: value for name, value in EVERY_FIELD.items() if name not in LOOKED_UP})
    pod = template["spec"]["template"] | {"apiVersion": "v1", "kind": "Pod"}
    pod["metadata"] |= {"name": "m"}
    response = dry_run(api, f"/api/v1/namespaces/{restricted}/pods", pod)
    assert response.status_code == 201, response.text
