"""Guard: CI's commands collect each test file of the repository."""

from __future__ import annotations

from pathlib import Path

from tests.lint.collected_files import ROOT, ci_paths, collected

HIDDEN_BY_PYTEST = ("build", "dist", "node_modules")


def _test_files(root: Path) -> set[Path]:
    return {file.relative_to(root) for file in (root / "tests").rglob("test_*.py")}


def test_ci_collects_every_test_file() -> None:
    assert _test_files(ROOT) - collected(ROOT, ci_paths()) == set()


def test_ci_runs_spark_test_by_name() -> None:
    assert "tests/integration/builder/test_spark.py" in ci_paths()


def test_folders_that_pytest_ignores_are_noticed(tmp_path: Path) -> None:
    for folder in ("collected", *HIDDEN_BY_PYTEST):
        (tmp_path / "tests" / folder).mkdir(parents=True)
        (tmp_path / "tests" / folder / f"test_{folder}.py").touch()
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")

    hidden = _test_files(tmp_path) - collected(tmp_path, ["tests"])

    assert hidden == {Path("tests", folder, f"test_{folder}.py") for folder in HIDDEN_BY_PYTEST}
