"""Output and exit codes of `modelyard images` with a registry and a cluster in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import pytest
from tests.unit.image_gc.fakes import HOST, PREFIX, FakeClusterUsage, FakeGcRegistry, pod

from modelyard.cli import images
from modelyard.cli.main import main
from modelyard.image_gc import prune

IN_USE, UNUSED = "a" * 64, "b" * 64


class _Client(FakeGcRegistry):
    """A registry client in memory, which is a context manager like the real one."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Client:
    """A registry with one image in use and one unused image."""
    registry = _Client()
    digest = registry.push(f"{PREFIX}/team/m", IN_USE)
    registry.push(f"{PREFIX}/team/m", UNUSED, config={})
    cluster = FakeClusterUsage(pod(f"{HOST}/{PREFIX}/team/m@{digest}"))
    config = tmp_path / "settings.yaml"
    config.write_text(f"registry: {{push: {HOST}, repository: {PREFIX}}}\n")
    monkeypatch.setenv("MODELYARD_CONFIG", str(config))
    monkeypatch.setattr(images, "RegistryClient", lambda _: registry)
    monkeypatch.setattr(images, "ClusterUsage", lambda _: cluster)
    monkeypatch.setattr(prune, "_SETTLE_SECONDS", 0)
    return registry


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    """Run `modelyard images`, and return its exit code and the lines of its output."""
    code = main(["images", *arguments])
    return code, capsys.readouterr().out.splitlines()


def test_list_prints_users_and_unused_images(registry: _Client, capsys: pytest.CaptureFixture[str]) -> None:
    code, (in_use, unused) = _run(capsys, "list")
    assert code == 0
    assert in_use.startswith(f"needed  {PREFIX}/team/m@")
    assert in_use.endswith("  Pod team/p")
    assert unused.startswith(f"unused  {PREFIX}/team/m@")


def test_prune_without_delete_prints_expired_images(
    registry: _Client, capsys: pytest.CaptureFixture[str]
) -> None:
    before = dict(registry.manifests)
    code, (line, summary) = _run(capsys, "prune", "--older-than=0s")
    assert code == 0
    assert line.startswith(f"would delete {PREFIX}/team/m@")
    assert summary == "1 images are needed; 1 expired, 0 have been unused for too short a time"
    assert registry.manifests == before


def test_prune_prints_images_that_are_unused_for_too_short_a_time(
    registry: _Client, capsys: pytest.CaptureFixture[str]
) -> None:
    _, (line, summary) = _run(capsys, "prune")
    assert line.startswith("unused since ")
    assert summary == "1 images are needed; 0 expired, 1 have been unused for too short a time"


def test_prune_with_delete_deletes_expired_images(
    registry: _Client, capsys: pytest.CaptureFixture[str]
) -> None:
    code, (line, _) = _run(capsys, "prune", "--delete", "--older-than=0s")
    assert code == 0
    assert line.startswith(f"deleted {PREFIX}/team/m@")
    assert list(registry.tagged) == [(f"{PREFIX}/team/m", IN_USE)]


def test_error_of_the_registry_has_exit_code_1(registry: _Client, capsys: pytest.CaptureFixture[str]) -> None:
    registry.deletes = False
    assert main(["images", "prune", "--delete", "--older-than=0s"]) == 1
    assert "modelyard images: " in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "registry: {push: [1]}"])
def test_invalid_configuration_has_exit_code_2(
    content: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "settings.yaml"
    if content:
        config.write_text(content)
    monkeypatch.setenv("MODELYARD_CONFIG", str(config))
    assert main(["images", "list"]) == 2
    assert capsys.readouterr().err.startswith("MODELYARD_CONFIG: ")
