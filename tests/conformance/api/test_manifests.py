"""Manifests: registered, listed, and accepted only with registered models."""

from __future__ import annotations

from tests.conformance.api.conftest import (
    Api,
    manifest,
    model,
)


def test_manifest_is_returned_as_sent(api: Api, name: str) -> None:
    registered = api.post("/models", model(name))
    sent = manifest(
        name, registered["id"], description="d", modelType="Registered", webserviceType="Realtime",
        runtime="SparkPython",
    )  # fmt: skip
    sent["targetRuntime"]["properties"] = {"pythonVersion": "3.11", "pipRequirements": "numpy==2.0"}
    made = api.post("/manifests", sent)
    assert {key: value for key, value in made.items() if key in sent and key != "assets"} == {
        key: value for key, value in sent.items() if key != "assets"
    }
    assert [asset["id"] for asset in made["assets"]] == ["driver"]
    assert api.get(f"/manifests/{made['id']}") == made


def test_manifest_needs_registered_models(api: Api, name: str) -> None:
    response = api("POST", "/manifests", 400, json=manifest(name, "nothing:1", "nothing:2"))
    assert response.json()["code"] == "ModelNotFound"
    assert len(response.json()["details"]) == 2
    assert api.all("/manifests", manifestName=name) == []


def test_filters_select_manifests(api: Api, name: str) -> None:
    first, second = (api.post("/models", model(name, url=f"data:,{number}")) for number in range(2))
    old, new = (api.post("/manifests", manifest(name, item["id"])) for item in (first, second))
    other = api.post("/manifests", manifest(f"{name}2", first["id"]))
    assert api.all("/manifests", manifestName=name) == [old, new]
    assert api.all("/manifests", manifestName=new["id"]) == [new]
    assert api.all("/manifests", modelId=second["id"]) == [new]
    assert {item["id"] for item in api.all("/manifests", modelId=first["id"])} == {old["id"], other["id"]}
    assert api.all("/manifests", modelId=first["id"], manifestName=f"{name}2") == [other]


def test_manifest_accepts_a_display_name_of_a_model(api: Api, name: str) -> None:
    registered = api.post("/models", model(name))
    made = api.post("/manifests", manifest(name, f"{name}:1"))
    assert made["modelIds"] == [registered["id"]]
