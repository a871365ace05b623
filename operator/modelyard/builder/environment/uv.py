"""The command uv, which resolves and installs requirements, and builds wheels (https://docs.astral.sh/uv/)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
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


def uv_install(
    requirements: Requirements,
    target: Target,
    destination: Sequence[str],
    work: Path,
    settings: PipSettings,
    log: BuildLog,
) -> None:
    """Install wheels of requirements for a target.

    `destination` is uv's option --target or --prefix. `work` is an empty folder for uv's cache, on the same
    file system. Raises the errors of uv_error.
    """
    log.write(f"packages for Python {target.python} on {target.platform}")
    file = work / "requirements.txt"
    file.write_text(requirements.text)
    command = [
        "pip",
        "install",
        *_OPTIONS,
        "--no-build",
        "--link-mode=hardlink",
        f"--python={sys.executable}",
    ]
    command += [*_target_options(target), *destination, f"--requirements={file}", *requirements.arguments]
    versions = ResolvedVersions(requirements.text)
    _uv(command, _variables(requirements, settings), work, log, versions, requirements.field)
    for note in versions.notes():
        log.write(note)


def uv_lock(
    requirements: Requirements,
    target: Target,
    output: Path,
    work: Path,
    settings: PipSettings,
    log: BuildLog,
    system: BaseSystem | None = None,
) -> None:
    """Write the versions of requirements to a file `pylock.toml` (https://peps.python.org/pep-0751/).

    The file has the wheels that fit the target, and the source distributions. Code of source distributions
    runs, if it is the only way to their dependencies, with the Python of `system` if it is given. Raises the
    errors of uv_error.
    """
    log.write("versions of packages, also of those without wheels")
    file = work / "requirements.txt"
    file.write_text(requirements.text)
    command = ["pip", "compile", *_OPTIONS, "--format=pylock.toml", f"--output-file={output}", "--quiet"]
    command += [
        f"--python={_python(target, system)}",
        *_target_options(target),
        str(file),
        *requirements.arguments,
    ]
    _uv(command, _variables(requirements, settings, system), work, log, None, requirements.field)


def uv_wheel(
    source: Path,
    requirements: Requirements,
    target: Target,
    folder: Path,
    work: Path,
    settings: PipSettings,
    log: BuildLog,
    system: BaseSystem | None = None,
) -> None:
    """Build the wheel of a source distribution into a folder. `requirements` have the options of the indexes.

    `system` has the Python and the compilers of the build. Raises the errors of uv_error.
    """
    command = [
        "build",
        "--wheel",
        *_OPTIONS,
        f"--python={_python(target, system)}",
        f"--out-dir={folder}",
        str(source),
    ]
    command += _index_arguments(requirements)
    _uv(command, _variables(requirements, settings, system), work, log, None, requirements.field)


def _python(target: Target, system: BaseSystem | None) -> str:
    """Return the Python that runs code of packages: of the image's version, if the builder has one."""
    if system is None:
        return find_interpreter(target) or sys.executable
    return str(system.python(target.minor) or sys.executable)


def _target_options(target: Target) -> list[str]:
    return [f"--python-version={target.python}", f"--python-platform={target.uv_platform}"]


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


def _variables(
    requirements: Requirements, settings: PipSettings, system: BaseSystem | None = None
) -> dict[str, str]:
    variables = {"PATH": os.environ.get("PATH", os.defpath), **settings.variables()}
    variables |= system.variables if system else {}
    if requirements.replaces_index:
        variables.pop(INDEX, None)
    if requirements.adds_indexes or EXTRA_INDEXES in variables:
        # As pip: the best version of all indexes. uv's default strategy explains a failure better, and is
        # equivalent with one index.
        variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return variables


def _uv(
    command: Sequence[str],
    variables: dict[str, str],
    work: Path,
    log: BuildLog,
    versions: ResolvedVersions | None,
    field: str,
) -> None:
    """Run uv, and raise its error. Output about code of packages is in the log only after a failure."""
    variables |= {
        "HOME": str(work),
        "TMPDIR": str(work),
        "LANG": "C.UTF-8",
        "UV_CACHE_DIR": str(work / "cache"),
        "NO_COLOR": "1",
    }
    if versions:
        variables["RUST_LOG"] = LOG_FILTER
    output = _run([find_uv_bin(), *command], variables, work, log, versions)
    if output is None:
        return
    if versions is None:
        for line in output[-_LOGGED_LINES:]:
            log.write(line)
    raise uv_error(output, field)


def _run(
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
