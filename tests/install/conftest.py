"""Fresh virtual environments, each with the package's wheel and one extra."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from uv import find_uv_bin

ROOT: Final = Path(__file__).parents[2]
PATIENCE_SECONDS: Final = 30


@dataclass(frozen=True)
class Environment:
    """A virtual environment with modelyard installed."""

    folder: Path

    @property
    def packages(self) -> list[str]:
        """The installed distributions."""
        return sorted(path.name for path in self.folder.glob("lib/python*/site-packages/*.dist-info"))

    @property
    def megabytes(self) -> float:
        """The size of all installed files, in 10^6 bytes, without the byte code of imported modules."""
        files = [path for path in self.folder.rglob("*") if path.is_file() and not path.is_symlink()]
        return sum(file.stat().st_size for file in files if file.suffix != ".pyc") / 1e6

    def python(self, code: str) -> str:
        """Return the output of Python code, which must succeed."""
        run = subprocess.run(
            [self._program("python"), "-c", code], check=False, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        return run.stdout

    def run(self, *arguments: str | Path, **variables: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the command `modelyard` to its end."""
        command = [self._program("modelyard"), *arguments]
        return subprocess.run(command, env=_variables(variables), check=False, capture_output=True, text=True)

    @contextmanager
    def running(self, *arguments: str | Path, **variables: str | Path) -> Iterator[subprocess.Popen[bytes]]:
        """Run the command `modelyard` while the block runs, and end it by SIGTERM."""
        command = [self._program("modelyard"), *arguments]
        with subprocess.Popen(command, env=_variables(variables), stderr=subprocess.DEVNULL) as process:
            try:
                yield process
                process.terminate()
                assert process.wait(PATIENCE_SECONDS) == 0
            finally:
                process.kill()

    def _program(self, name: str) -> Path:
        return self.folder / "bin" / name


def _variables(variables: dict[str, str | Path]) -> dict[str, str]:
    texts = {name: str(value) for name, value in variables.items()}
    return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]} | texts


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([find_uv_bin(), "build", "--quiet", "--wheel", "--out-dir", folder], cwd=ROOT, check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Callable[[str], Environment]:
    """Install the wheel with an extra, or with none (""), in the versions of uv.lock; once for each extra."""
    constraints = tmp_path_factory.mktemp("lock") / "constraints.txt"
    export = [
        find_uv_bin(),
        "export",
        "--quiet",
        "--frozen",
        "--all-extras",
        "--no-emit-project",
        "--no-hashes",
    ]
    subprocess.run([*export, "--output-file", constraints], cwd=ROOT, check=True)
    environments: dict[str, Environment] = {}

    def install(extra: str) -> Environment:
        if extra not in environments:
            folder = tmp_path_factory.mktemp("environment")
            requirement = f"modelyard[{extra}] @ {wheel.as_uri()}" if extra else str(wheel)
            pip = ["pip", "install", "--quiet", "--python", folder, "--constraint", constraints, requirement]
            for arguments in (["venv", "--quiet", "--clear", folder], pip):
                subprocess.run([find_uv_bin(), *arguments], cwd=ROOT, check=True)
            environments[extra] = Environment(folder)
        return environments[extra]

    return install


@pytest.fixture
def port() -> int:
    """A free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
