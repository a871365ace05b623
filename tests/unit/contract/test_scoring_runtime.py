"""The scoring runtime: its version and its pinned requirements."""

from __future__ import annotations

import tomllib
from pathlib import Path

from modelyard.contract.scoring_runtime import RUNTIME_REQUIREMENTS, runtime_version


def test_runtime_version_changes_with_the_code_in_images_only(tmp_path: Path) -> None:
    (tmp_path / "scoring").mkdir()
    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "scoring/app.py").write_text("1")
    first = runtime_version(tmp_path)
    runtime_version.cache_clear()
    (tmp_path / "settings.py").write_text("not in the image")
    assert runtime_version(tmp_path) == first
    runtime_version.cache_clear()
    (tmp_path / "scoring/app.py").write_text("2")
    assert runtime_version(tmp_path) != first


def test_pins_of_the_runtime_are_those_of_the_lock_file() -> None:
    lock = tomllib.loads((Path(__file__).parents[3] / "uv.lock").read_text())
    locked = {package["name"]: package for package in lock["package"]}
    pins = dict(
        line.split("==") for line in RUNTIME_REQUIREMENTS.read_text().splitlines() if not line.startswith("#")
    )
    needed = {name: locked[name]["version"] for name in pins}
    dependencies = {
        dependency["name"]
        for name in pins
        for dependency in locked[name].get("dependencies", [])
        if "win32" not in dependency.get("marker", "")
    }
    assert pins == needed
    assert dependencies <= pins.keys()
