"""Installs requirements for an image that is elsewhere: wheels only, so nothing of them is run."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from modelyard.builder.disk import disk_errors
from modelyard.builder.environment.pip_settings import PipSettings
from modelyard.builder.environment.reproducible_tree import (
    clean,
    compile_bytecode,
)
from modelyard.builder.environment.requirements import checked
from modelyard.builder.environment.target import Target
from modelyard.builder.environment.uv import uv_install
from modelyard.builder.log import BuildLog
from modelyard.contract.image_layout import ENVIRONMENT, RUNTIME
from modelyard.contract.scoring_runtime import (
    PACKAGE,
    RUNTIME_REQUIREMENTS,
    runtime_files,
)

_PYTHON_HERE: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"


def install_requirements(
    requirements: str, target: Target, folder: Path, settings: PipSettings, log: BuildLog
) -> None:
    """Makes of a folder, a new one or a conda environment, a user base with the packages:
    `lib/python3.X/site-packages` and `bin`, live with PYTHONUSERBASE and PATH
    (https://docs.python.org/3/library/site.html#site.USER_BASE).

    Equal versions give an equal folder. Raises RequirementsInvalidError, WheelMissingError,
    PackageNotFoundError, RequirementsConflictError, the PackageIndex errors, DiskFullError, PipFailedError.
    """
    wanted = checked(requirements)
    with _work(folder) as work:
        lib = folder / "lib" / f"python{target.minor}"
        lib.mkdir(parents=True, exist_ok=True)
        here = lib.with_name(_PYTHON_HERE)
        if here != lib:
            here.symlink_to(lib.name)  # uv names the folder after the Python that it runs with
        uv_install(wanted, target, [f"--prefix={folder}"], work, settings, log)
        if here != lib:
            here.unlink()
        shutil.rmtree(folder / "include" / "site", ignore_errors=True)  # headers, in that Python's folder
        clean(folder, lib / "site-packages")
        compile_bytecode(folder, ENVIRONMENT, target, log)


def install_runtime(target: Target, folder: Path, settings: PipSettings, log: BuildLog) -> None:
    """A new folder with the scoring runtime and its own dependencies side by side, which PYTHONPATH names for
    the server's process alone. Raises as `install` does.
    """
    with _work(folder) as work:
        folder.mkdir()
        uv_install(
            checked(RUNTIME_REQUIREMENTS.read_text()), target, [f"--target={folder}"], work, settings, log
        )
        clean(folder, folder)
        for path in runtime_files():
            (folder / PACKAGE.name / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PACKAGE / path, folder / PACKAGE.name / path)
        compile_bytecode(folder, RUNTIME, target, log)


@contextmanager
def _work(folder: Path) -> Iterator[Path]:
    """For uv's cache, on the same file system, so that what it unpacks is linked and not copied."""
    with disk_errors(), TemporaryDirectory(dir=folder.parent, prefix=".uv-") as work:
        yield Path(work)
