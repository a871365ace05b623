"""The API server accepts the CRDs without a warning, and kubectl prints their fields and columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tests.api_cases.case import Good

from modelyard.api.crd import build_crd
from modelyard.api.kinds import KINDS, Kind
from modelyard.api.names import API_VERSION

Kubectl = Callable[..., str]
pytestmark = pytest.mark.usefixtures("crds")
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@every_kind
def test_crd_is_established_without_other_conditions(kind: Kind, api: httpx.Client) -> None:
    live = api.get(
        f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind.plural}.modelyard.dev"
    ).json()
    conditions = {condition["type"]: condition["status"] for condition in live["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}  # no NonStructuralSchema
    assert live["status"]["acceptedNames"]["shortNames"] == [kind.short_name]


def _objects(name: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each field that has fields, with its name in `kubectl explain`."""
    inner = schema.get("items", schema)
    if "properties" in inner:
        yield name, inner
        for field, item in inner["properties"].items():
            yield from _objects(f"{name}.{field}", item)


@every_kind
def test_kubectl_explains_every_field(kind: Kind, kubectl: Kubectl) -> None:
    schema = build_crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for part in ("spec", "status"):
        for name, node in _objects(f"{kind.short_name}.{part}", schema["properties"][part]):
            output = kubectl("explain", name)
            assert "<no description>" not in output
            text = "".join(output.split())  # kubectl breaks lines, even inside long words
            for field in node["properties"].values():
                assert "".join(field["description"].split()) in text


def test_kubectl_explains_one_field(kubectl: Kubectl) -> None:
    assert "Put credentials into secretRef" in " ".join(kubectl("explain", "model.spec.url").split())


@pytest.mark.parametrize(
    "name", ["modelyard", *(kind.short_name for kind in KINDS), "models,manifests,images"]
)
def test_kubectl_gets_by_category_and_names(name: str, kubectl: Kubectl, namespace: str) -> None:
    assert kubectl("get", name, f"--namespace={namespace}") == ""


@every_kind
def test_kubectl_prints_the_columns(kind: Kind, api: httpx.Client, kubectl: Kubectl, namespace: str) -> None:
    folder = f"/apis/{API_VERSION}/namespaces/{namespace}/{kind.plural}"
    api.post(folder, json=Good(kind.name, {}).manifest()).raise_for_status()
    columns = build_crd(kind)["spec"]["versions"][0]["additionalPrinterColumns"]
    titles, row = kubectl("get", kind.short_name, f"--namespace={namespace}", "--output=wide").splitlines()
    assert titles.split() == ["NAME", *(column["name"].upper() for column in columns)]
    assert row.split()[0] == "diabetes"


@pytest.fixture
def scaled(kubectl: Kubectl, api: httpx.Client, namespace: str) -> Iterator[Callable[..., Any]]:
    """Create a Service with fields, call `kubectl scale` on it, and return the Service."""
    folder = f"/apis/{API_VERSION}/namespaces/{namespace}/services"
    created: list[str] = []

    def scale(name: str, replicas: int, **fields: object) -> dict[str, Any]:
        body = Good("Service", {}).manifest()
        body["metadata"]["name"] = name
        body["spec"] |= fields
        api.post(folder, json=body).raise_for_status()
        created.append(name)
        kubectl("scale", f"msvc/{name}", f"--namespace={namespace}", f"--replicas={replicas}")
        found: dict[str, Any] = api.get(f"{folder}/{name}").json()
        return found

    yield scale
    for name in created:
        api.delete(f"{folder}/{name}")


@pytest.mark.parametrize("fields", [{}, {"numReplicas": 1}, {"autoScaler": {"maxReplicas": 5}}])
def test_kubectl_scale_sets_num_replicas(
    scaled: Callable[..., dict[str, Any]], fields: dict[str, Any]
) -> None:
    assert scaled("fixed", 3, **fields)["spec"]["numReplicas"] == 3


def test_kubectl_scale_is_refused_with_an_enabled_autoscaler(scaled: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(Exception, match=r"scaled by autoScaler\.minReplicas and maxReplicas"):
        scaled("automatic", 3, autoScaler={"autoscaleEnabled": True})
