"""Installation of requirements and of the scoring runtime into a folder of a future image.

Only wheels are installed, so no code of a package runs. Wheels of source distributions are built before, by
lock_requirements and build_wheel, each in a process of its own.
"""

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
from modelyard.builder.environment.reproducible_tree import compile_bytecode, make_reproducible
from modelyard.builder.environment.requirements import parse_requirements
from modelyard.builder.environment.target import Target
from modelyard.builder.environment.uv import Uv
from modelyard.builder.log import BuildLog
from modelyard.contract.image_layout import ENVIRONMENT, RUNTIME
from modelyard.contract.scoring_runtime import PACKAGE, RUNTIME_REQUIREMENTS, runtime_files

LOCK_FILE: Final = "pylock.toml"
_PYTHON_OF_BUILDER: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"


def install_requirements(uv: Uv, folder: Path) -> None:
    """Install the requirements of `uv` into a folder, which is new or a conda environment.

    The folder becomes a user base (https://docs.python.org/3/library/site.html#site.USER_BASE) with
    `lib/python3.X/site-packages` and `bin`. Python finds it by PYTHONUSERBASE, the shell by PATH. Equal
    versions make equal folders.

    Raises RequirementsInvalidError, WheelMissingError, PackageNotFoundError, RequirementsConflictError,
    PackageIndexForbiddenError, PackageIndexUntrustedError, PackageIndexUnavailableError, SourceDeniedError,
    DiskFullError, BuildStepFailedError and PipFailedError.
    """
    with _uv_folder(folder) as work:
        lib = folder / "lib" / f"python{uv.target.minor}"
        lib.mkdir(parents=True, exist_ok=True)
        # uv names the folder after the Python that runs uv: a link of that name leads to the target's folder.
        link = lib.with_name(_PYTHON_OF_BUILDER)
        if link != lib:
            link.symlink_to(lib.name)
        uv.install([f"--prefix={folder}"], work)
        if link != lib:
            link.unlink()
        # uv puts C headers into a folder of the wrong Python version, and nothing compiles in an image.
        shutil.rmtree(folder / "include" / "site", ignore_errors=True)
        make_reproducible(folder, lib / "site-packages")
        compile_bytecode(folder, ENVIRONMENT, uv.target, uv.log)


def install_runtime(target: Target, folder: Path, settings: PipSettings, log: BuildLog) -> None:
    """Install the scoring runtime and its dependencies side by side into a new folder.

    Only the server's process has the folder in its PYTHONPATH. Raises the errors of install_requirements.
    """
    with _uv_folder(folder) as work:
        folder.mkdir()
        requirements = parse_requirements(RUNTIME_REQUIREMENTS.read_text())
        Uv(requirements, target, settings, log).install([f"--target={folder}"], work)
        make_reproducible(folder, folder)
        for path in runtime_files():
            file = folder / PACKAGE.name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PACKAGE / path, file)
        compile_bytecode(folder, RUNTIME, target, log)


def lock_requirements(uv: Uv, folder: Path) -> None:
    """Write the versions of requirements to `pylock.toml` in a new folder. See Uv.lock."""
    with _uv_folder(folder) as work:
        folder.mkdir()
        uv.lock(folder / LOCK_FILE, work)


def build_wheel(uv: Uv, source: Path, folder: Path) -> None:
    """Build the wheel of a source distribution into a new folder. See Uv.build."""
    with _uv_folder(folder) as work:
        folder.mkdir()
        uv.build(source, folder, work)


@contextmanager
def _uv_folder(folder: Path) -> Iterator[Path]:
    """Create a folder for uv's cache on the file system of `folder`, where uv can link files into it."""
    with disk_errors(), TemporaryDirectory(dir=folder.parent, prefix=".uv-") as work:
        yield Path(work)
