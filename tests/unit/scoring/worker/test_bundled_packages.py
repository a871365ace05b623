"""werkzeug of the runtime's folder, for drivers whose environment has none."""

import subprocess
import sys
from pathlib import Path

import pytest
import werkzeug

SCRIPT = """
import sys
sys.path.insert(0, {runtime!r})
from modelyard.scoring.worker import bundled_packages
sys.path[0] = {environment!r}
bundled_packages.install()
{statement}
"""


def run(runtime: Path, environment: Path, statement: str) -> list[str]:
    """Return the words that the statement prints, in an interpreter without site-packages."""
    script = SCRIPT.format(runtime=str(runtime), environment=str(environment), statement=statement)
    command = [sys.executable, "-I", "-S", "-c", script]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


@pytest.fixture
def with_packages(runtime: Path) -> Path:
    """Return the runtime's folder with links to its packages."""
    import markupsafe  # noqa: PLC0415

    for package in (werkzeug, markupsafe):
        link = runtime / package.__name__
        if not link.exists():
            link.symlink_to(Path(package.__file__).parent)
    return runtime


def test_werkzeug_is_the_runtimes_without_one_of_the_driver(with_packages: Path, tmp_path: Path) -> None:
    statement = "from werkzeug.exceptions import BadRequest; print(BadRequest.__module__, BadRequest.code)"
    assert run(with_packages, tmp_path, statement) == ["werkzeug.exceptions", "400"]


def test_exports_of_werkzeug_are_imported_at_first_use(with_packages: Path, tmp_path: Path) -> None:
    statement = (
        "import werkzeug; print('werkzeug.wrappers' in sys.modules)\n"
        "print(werkzeug.Response(b'x').status_code, 'werkzeug.serving' in sys.modules)\n"
        "print(hasattr(werkzeug, 'no_such_name'))"
    )
    assert run(with_packages, tmp_path, statement) == ["False", "200", "False", "False"]


def test_werkzeug_of_the_driver_has_precedence(with_packages: Path, tmp_path: Path) -> None:
    (tmp_path / "werkzeug.py").write_text("__version__ = 'of the driver'\n")
    assert run(with_packages, tmp_path, "import werkzeug; print(werkzeug.__version__)") == [
        "of",
        "the",
        "driver",
    ]


def test_other_packages_of_the_runtime_cannot_be_imported(with_packages: Path, tmp_path: Path) -> None:
    statement = "import importlib.util; print(importlib.util.find_spec('modelyard_of_the_runtime'))"
    (with_packages / "modelyard_of_the_runtime").mkdir(exist_ok=True)
    assert run(with_packages, tmp_path, statement) == ["None"]


def test_old_werkzeug_of_the_driver_is_named(with_packages: Path, tmp_path: Path) -> None:
    (tmp_path / "werkzeug").mkdir()
    (tmp_path / "werkzeug" / "__init__.py").touch()
    (tmp_path / "werkzeug" / "wrappers.py").write_text("class Request: pass\n")
    statement = """
try:
    import modelyard.scoring.worker.aml_request
except ImportError as error:
    print(error)"""
    words = run(with_packages, tmp_path, statement)
    assert " ".join(words) == (
        "werkzeug of the driver's packages is too old for AMLRequest: require version 2.0 or later"
    )
