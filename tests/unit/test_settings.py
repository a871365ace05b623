"""Settings of the operator: the file, the defaults and the derived values."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from pydantic import ValidationError

from modelyard.api.pod.settings import PodSettings
from modelyard.settings import (
    CONFIG_VARIABLE,
    BuildSettings,
    OperatorSettings,
    RegistrySettings,
    SourcesSettings,
    load,
)

ROOT = Path(__file__).parents[2]


def test_defaults_apply_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)
    assert load() == OperatorSettings()


def test_file_is_read_with_camel_case_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("watchNamespaces: [team]\nbuild: {deadlineSeconds: 60}\n", encoding="utf-8")
    monkeypatch.setenv(CONFIG_VARIABLE, str(file))
    settings = load()
    assert settings.watch_namespaces == ("team",)
    assert settings.build == BuildSettings(deadline_seconds=60)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("workers: 0", ("workers",)),
        ("worker: 1", ("worker",)),
        ("build: {attempts: 0}", ("build", "attempts")),
    ],
)
def test_invalid_file_raises_an_error_with_the_field(
    text: str, field: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text, encoding="utf-8")
    monkeypatch.setenv(CONFIG_VARIABLE, str(file))
    with pytest.raises(ValidationError) as refused:
        load()
    assert [error["loc"] for error in refused.value.errors()] == [field]


def test_missing_file_raises_os_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "settings.yaml"))
    with pytest.raises(FileNotFoundError):
        load()


def test_registry_names_default_to_the_push_name() -> None:
    registry = RegistrySettings(push="r.example")
    assert (registry.pull_name, registry.internal_name) == ("r.example", "r.example")


def test_registry_names_of_nodes_and_pods_are_separate() -> None:
    registry = RegistrySettings(push="r.example", pull="node.example", internal="pod.example")
    assert (registry.pull_name, registry.internal_name) == ("node.example", "pod.example")


@pytest.mark.parametrize(
    ("settings", "builders"),
    [
        (BuildSettings(), ("Layers",)),
        (BuildSettings(docker_enabled=True), ("Layers", "Docker")),
        (BuildSettings(builder="Docker"), ("Layers", "Docker")),
    ],
)
def test_docker_builder_is_offered_if_enabled_or_default(
    settings: BuildSettings, builders: tuple[str, ...]
) -> None:
    assert settings.builders == builders


@pytest.mark.parametrize(("namespace", "claims"), [("team-a", ("models", "shared")), ("team-b", ("shared",))])
def test_claims_of_a_namespace_include_the_shared_ones(namespace: str, claims: tuple[str, ...]) -> None:
    sources = SourcesSettings(claims={"models": ("team-a",), "shared": ("*",), "other": ("team-c",)})
    assert sources.claims_for(namespace) == claims


def test_values_schema_knows_each_field_of_pods() -> None:
    schema = orjson.loads((ROOT / "charts" / "modelyard" / "values.schema.json").read_bytes())
    fields = {field.alias for field in PodSettings.model_fields.values()}
    assert set(schema["definitions"]["podField"]["enum"]) == fields
