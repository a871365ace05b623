"""List the test files that CI runs: a pytest plugin, and functions that use it.

`pytest --collect-only -p tests.lint.collected_files PATH…` prints each test file that pytest would import.
Files stay closed, since importing all of them takes a minute.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
_PREFIX: Final = "test file: "
_MAKE: Final = re.compile(r"^make (\w.*)$", re.MULTILINE)
# As the Makefile's RUN ends: other words "pytest" of a recipe name the package.
_PYTEST: Final = re.compile(r"(?<=--all-extras )pytest\b([^;&|\n]*)")
_NO_TESTS: Final = 5  # pytest's exit code: expected, since all files stay closed


class _ClosedModule(pytest.Module):
    """A test file that is collected without its tests."""

    def collect(self) -> Iterable[pytest.Item]:
        """Return no tests."""
        return []


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
    """Print the path of a test file that pytest is about to import, and keep the file closed."""
    print(f"\n{_PREFIX}{module_path}")
    return _ClosedModule.from_parent(parent, path=module_path)


def ci_paths() -> list[str]:
    """Return the paths in every pytest command that `.ci/run` reaches through make."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    paths: list[str] = []
    for targets in _MAKE.findall(script):
        make = ["make", "--dry-run", "--no-print-directory", *shlex.split(targets)]
        recipes = subprocess.run(make, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for arguments in _PYTEST.findall(recipes):
            paths += [word for word in shlex.split(arguments) if (ROOT / word).exists()]
    return paths


def collected(root: Path, paths: list[str]) -> set[Path]:
    """Return the test files below `root`, relative to it, that pytest collects there from `paths`."""
    # Only the plugin that the configuration needs: schemathesis alone takes seconds to import.
    plugins = ["-p", "asyncio", "-p", "no:cacheprovider", "-p", __name__]
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "--capture=no", *plugins, *paths]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=root, env=environment, check=False, capture_output=True, text=True)
    if run.returncode != _NO_TESTS:
        raise RuntimeError(f"{shlex.join(command)} has failed:\n{run.stdout}{run.stderr}")
    files = [Path(line.removeprefix(_PREFIX)) for line in run.stdout.splitlines() if line.startswith(_PREFIX)]
    return {file.relative_to(root.resolve()) for file in files}
