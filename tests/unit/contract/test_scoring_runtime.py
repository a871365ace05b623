"""The scoring runtime: its files, their imports, its version and its pinned requirements."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.contract.scoring_runtime import PACKAGE, RUNTIME_REQUIREMENTS, runtime_files, runtime_version

FILES = runtime_files()
PINNED = {line.partition("==")[0] for line in RUNTIME_REQUIREMENTS.read_text().splitlines() if "==" in line}
LAPTOP_ONLY = {"scoring/reloader.py": {"watchfiles"}}
COLLECTOR_ONLY = {"scoring/spool/batch_reader.py": {"msgspec"}}
DRIVERS_OWN = {
    "scoring/worker/spark.py": {"pyspark"},
    "scoring/worker/aml_request.py": {"werkzeug"},
    "scoring/worker/aml_response.py": {"werkzeug"},
    "scoring/worker/azureml/numpy_schema.py": {"numpy"},
    "scoring/worker/azureml/pandas_schema.py": {"numpy"},
}


def imported_modules(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse((PACKAGE / file).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            yield node.module
            # `from package import module`
            yield from (
                f"{node.module}.{alias.name}" for alias in node.names if is_module(node.module, alias.name)
            )


def is_module(package: str, name: str) -> bool:
    folder = PACKAGE.parent / package.replace(".", "/")
    return (folder / f"{name}.py").is_file() or (folder / name / "__init__.py").is_file()


def file_of(module: str) -> Path:
    path = PACKAGE.parent / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return file.relative_to(PACKAGE)


def test_runtime_files_are_scoring_and_the_modules_it_shares() -> None:
    outside = {file.as_posix() for file in FILES if file.parts[0] != "scoring"}
    assert outside == {"__init__.py", "backoff.py"}
    assert Path("scoring/__main__.py") in FILES


@pytest.mark.parametrize("file", FILES, ids=str)
def test_runtime_module_imports_only_what_an_image_has(file: Path) -> None:
    allowed = set(sys.stdlib_module_names)
    for others in (LAPTOP_ONLY, COLLECTOR_ONLY, DRIVERS_OWN):
        allowed |= others.get(str(file), set())
    if file.parts[:2] == ("scoring", "front"):
        allowed |= PINNED
    for module in imported_modules(file):
        if module.split(".")[0] == "modelyard":
            assert file_of(module) in FILES, module
        else:
            assert module.split(".")[0] in allowed, module


def test_worker_imports_nothing_of_the_front() -> None:
    for file in FILES:
        if file.parts[:2] == ("scoring", "worker"):
            parts = {
                module.split(".")[2]
                for module in imported_modules(file)
                if module.startswith("modelyard.scoring.")
            }
            shared = {"frames", "contract", "query_values", "spool", "working_directory"}
            assert parts <= {"worker"} | shared, file


def test_runtime_version_changes_with_the_code_in_images_only(tmp_path: Path) -> None:
    (tmp_path / "scoring").mkdir()
    for module in ("__init__.py", "backoff.py"):
        (tmp_path / module).write_text("")
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
    pins = _pins(RUNTIME_REQUIREMENTS.read_text())
    needed = {name: locked[name]["version"] for name in pins}
    dependencies = {
        dependency["name"]
        for name in pins
        for dependency in locked[name].get("dependencies", [])
        if "win32" not in dependency.get("marker", "")
    }
    assert pins == needed
    assert dependencies <= pins.keys()


def test_hashes_of_the_runtime_are_those_of_the_lock_file() -> None:
    """The failure shows the lines of the file as they must be."""
    text = RUNTIME_REQUIREMENTS.read_text()
    lock = tomllib.loads((Path(__file__).parents[3] / "uv.lock").read_text())
    locked = {package["name"]: package for package in lock["package"]}
    wheels = {name: locked[name]["wheels"] for name in _pins(text)}
    expected = "".join(
        " \\\n    --hash=".join([f"{name}=={locked[name]['version']}", *_linux_hashes(wheels[name])]) + "\n"
        for name in wheels
    )
    assert text.partition("\n")[2] == expected


def _pins(text: str) -> dict[str, str]:
    return dict(
        line.removesuffix(" \\").split("==") for line in text.splitlines() if "==" in line and line[0] != "#"
    )


def _linux_hashes(wheels: list[dict[str, str]]) -> list[str]:
    return sorted(
        wheel["hash"] for wheel in wheels if "manylinux" in wheel["url"] or wheel["url"].endswith("-any.whl")
    )
