"""The command uv, which resolves and installs requirements, and builds wheels (https://docs.astral.sh/uv/)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from uv import find_uv_bin

from modelyard.builder.base_system.system import BaseSystem
from modelyard.builder.environment.interpreter import find_interpreter
from modelyard.builder.environment.pip_settings import EXTRA_INDEXES, INDEX, PipSettings
from modelyard.builder.environment.requirements import Requirements
from modelyard.builder.environment.resolved_versions import LOG_FILTER, ResolvedVersions
from modelyard.builder.environment.target import Target
from modelyard.builder.environment.uv_errors import uv_error
from modelyard.builder.log import BuildLog
from modelyard.contract.errors import PackageIndexUnavailableError

_TIMEOUT_SECONDS: Final = 1800
"""Longest time of one installation: the largest wheels have 1 GB, and an index may be slow."""
_LINE_ABOUT_BUILDER: Final = "Using CPython"
"""Start of a line about the Python that runs uv, which is not the Python that packages are installed for."""
_LOGGED_LINES: Final = 60
"""Last lines in the log after a failed build."""
_LINE_CHARACTERS: Final = 2000
_KEPT_LINES: Final = 300
"""Last lines of a command for its error: code of a package may print without end."""
_END_SECONDS: Final = 2.0
"""Longest wait for output after the end of a command: a process that it left may hold the pipe open."""
_OPTIONS: Final = ("--no-config", "--no-progress", "--no-python-downloads")


@dataclass(frozen=True)
class Uv:
    """The command uv for requirements and their target. Its methods raise the errors of uv_error.

    `work` of each method is an empty folder for uv's cache, on the file system of the result.
    """

    requirements: Requirements
    target: Target
    settings: PipSettings
    log: BuildLog
    system: BaseSystem | None = None
    """The system whose Python and compilers run code of packages; None for the Python of the builder."""

    def install(self, destination: Sequence[str], work: Path) -> None:
        """Install wheels. `destination` is uv's option --target or --prefix."""
        self.log.write(f"packages for Python {self.target.python} on {self.target.platform}")
        command = ["pip", "install", *_OPTIONS, "--no-build", "--link-mode=hardlink"]
        command += [f"--python={sys.executable}", *self._target_options, *destination]
        command += [f"--requirements={self._file(work)}", *self.requirements.arguments]
        versions = ResolvedVersions(self.requirements.text)
        self._run(command, work, versions)
        for note in versions.notes():
            self.log.write(note)

    def lock(self, output: Path, work: Path) -> None:
        """Write the versions to a file `pylock.toml` (https://peps.python.org/pep-0751/).

        The file has the wheels that fit the target, and the source distributions. Code of source
        distributions runs, if it is the only way to their dependencies.
        """
        self.log.write("versions of packages, also of those without wheels")
        command = ["pip", "compile", *_OPTIONS, "--format=pylock.toml", f"--output-file={output}", "--quiet"]
        command += [f"--python={self._python}", *self._target_options]
        self._run([*command, str(self._file(work)), *self.requirements.arguments], work)

    def build(self, source: Path, folder: Path, work: Path) -> None:
        """Build the wheel of a source distribution into a folder.

        Of the requirements only the options of indexes apply.
        """
        command = ["build", "--wheel", *_OPTIONS, f"--python={self._python}", f"--out-dir={folder}"]
        self._run([*command, str(source), *_index_arguments(self.requirements)], work)

    def _file(self, work: Path) -> Path:
        file = work / "requirements.txt"
        file.write_text(self.requirements.text)
        return file

    @property
    def _python(self) -> str:
        """Return the Python that runs code of packages: of the image's version, if the builder has one."""
        if self.system is None:
            return find_interpreter(self.target) or sys.executable
        return str(self.system.python(self.target.minor) or sys.executable)

    @property
    def _target_options(self) -> list[str]:
        return [f"--python-version={self.target.python}", f"--python-platform={self.target.uv_platform}"]

    def _run(self, command: Sequence[str], work: Path, versions: ResolvedVersions | None = None) -> None:
        """Run uv, and raise its error. Output about code of packages is in the log only after a failure."""
        variables = self._variables(work)
        if versions:
            variables["RUST_LOG"] = LOG_FILTER
        output = _run_command([find_uv_bin(), *command], variables, work, self.log, versions)
        if output is None:
            return
        if versions is None:
            for line in output[-_LOGGED_LINES:]:
                self.log.write(line)
        raise uv_error(output, self.requirements.field)

    def _variables(self, work: Path) -> dict[str, str]:
        variables = {"PATH": os.environ.get("PATH", os.defpath), **self.settings.variables()}
        variables |= self.system.variables if self.system else {}
        if self.requirements.replaces_index:
            variables.pop(INDEX, None)
        if self.requirements.adds_indexes or EXTRA_INDEXES in variables:
            # As pip: the best version of all indexes. uv's default strategy explains a failure better, and is
            # equivalent with one index.
            variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"
        return variables | {
            "HOME": str(work),
            "TMPDIR": str(work),
            "LANG": "C.UTF-8",
            "UV_CACHE_DIR": str(work / "cache"),
            "NO_COLOR": "1",
        }


def _index_arguments(requirements: Requirements) -> list[str]:
    """Return the options of the lines as arguments, which `uv build` reads from no file."""
    lines = [line.replace("=", " ", 1).split(maxsplit=1) for line in requirements.text.splitlines()]
    arguments = [
        f"{_INDEX_ARGUMENTS[name]}={value[0]}" if value else _INDEX_ARGUMENTS[name]
        for name, *value in lines
        if name in _INDEX_ARGUMENTS
    ]
    return [*arguments, *requirements.arguments]


_INDEX_ARGUMENTS: Final = {
    "--index-url": "--default-index",
    "-i": "--default-index",
    "--extra-index-url": "--index",
    "--find-links": "--find-links",
    "-f": "--find-links",
    "--no-index": "--no-index",
}


def _run_command(
    command: Sequence[str],
    variables: Mapping[str, str],
    work: Path,
    log: BuildLog,
    versions: ResolvedVersions | None,
) -> list[str] | None:
    """Run a command and log its lines as they are printed. Return the last lines if it failed, else None."""
    output: deque[str] = deque(maxlen=_KEPT_LINES)
    timed_out = threading.Event()
    process = subprocess.Popen(  # noqa: S603 - our own command, with no shell
        command,
        env=variables,
        cwd=work,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )

    def stop() -> None:
        timed_out.set()
        process.kill()

    timer = threading.Timer(_TIMEOUT_SECONDS, stop)
    timer.daemon = True
    timer.start()
    stream = cast("IO[str]", process.stdout)
    reader = threading.Thread(target=_read, args=(stream, output, log, versions), daemon=True)
    reader.start()
    try:
        process.wait()
        reader.join(_END_SECONDS)
    except BaseException:  # includes SystemExit of a cancelled build, which must leave no uv running
        process.kill()
        raise
    finally:
        timer.cancel()
        if not reader.is_alive():  # the close would wait for the reader
            stream.close()
    if timed_out.is_set():
        raise PackageIndexUnavailableError(f"the packages were not installed within {_TIMEOUT_SECONDS} s")
    return None if process.returncode == 0 else list(output)


def _read(stream: IO[str], output: deque[str], log: BuildLog, versions: ResolvedVersions | None) -> None:
    while line := stream.readline(_LINE_CHARACTERS):
        if versions and versions.read(line):
            continue
        if versions and not line.startswith(_LINE_ABOUT_BUILDER):
            log.write(line)
        output.append(log.redact(line.rstrip()))
