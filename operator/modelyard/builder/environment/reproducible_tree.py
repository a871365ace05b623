"""Removal of everything from a folder of installed packages that depends on the builder or on the time."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from modelyard.builder.environment.interpreter import find_interpreter
from modelyard.builder.environment.target import Target
from modelyard.builder.log import BuildLog
from modelyard.contract.errors import BuildStepFailedError

_COMPILE_SECONDS: Final = 900
_MAX_COMPILERS: Final = 8
"""Most compiler processes, of up to 50 MB each: a pod sees all cores of its node, and may use only few."""

_SHEBANG: Final = b"#!/usr/bin/env python3\n"
_PYTHON_OF_BUILDER: Final = re.escape(sys.executable.encode())
# A script starts a shell if the path of its Python is too long for a shebang:
# https://github.com/pypa/distlib/blob/master/distlib/scripts.py
_SHEBANG_OF_BUILDER: Final = re.compile(
    rb"\A#!(?:%b\n|/bin/sh\n'''exec' '?%b'? [^\n]*\n' '''\n)" % (_PYTHON_OF_BUILDER, _PYTHON_OF_BUILDER)
)
# Tests are not compiled: they are half of the modules of scikit-learn and SciPy, and seldom imported.
_TESTS: Final = "^{folder}/.*/tests?/"
# Files about the origin of a package: a URL may contain a credential, and times differ between builds.
_ORIGIN_FILES: Final = ("direct_url.json", "uv_cache.json", "uv_build.json")


def make_reproducible(folder: Path, packages: Path) -> None:
    """Remove from a folder what depends on the builder.

    Scripts in `bin` start the Python of the image. The dist-info folders in `packages` lose their files about
    the origin of a package.
    """
    (folder / ".lock").unlink(missing_ok=True)
    changed: dict[str, bytes] = {}
    for script in filter(_is_regular, (folder / "bin").glob("*")):
        content = script.read_bytes()
        if _SHEBANG_OF_BUILDER.match(content):
            content = _SHEBANG_OF_BUILDER.sub(_SHEBANG, content)
            _replace(script, content)
            changed[os.path.relpath(script, packages)] = content
    for info in packages.glob("*.dist-info"):
        for name in _ORIGIN_FILES:
            (info / name).unlink(missing_ok=True)
        record = info / "RECORD"
        if _is_regular(record):
            _replace(record, _updated_record(record.read_text(), packages, changed).encode())


def compile_bytecode(folder: Path, image_folder: str, target: Target, log: BuildLog) -> None:
    """Compile the modules of a folder, since a container with a read-only file system cannot store byte code.

    `image_folder` is the path of the folder in the image, for tracebacks. If the builder has no Python of the
    target's version, nothing is compiled and the log says so. Raises BuildStepFailedError if the compiler
    crashes.
    """
    python = find_interpreter(target)
    if python is None:
        log.write(f"no byte code: the builder has no Python {target.minor}, so containers start more slowly")
        return
    workers = min(_MAX_COMPILERS, len(os.sched_getaffinity(0)))
    # Python does not compare unchecked byte code with its source, which never changes in an image.
    options = ["-qq", "-j", str(workers), "--invalidation-mode", "unchecked-hash"]
    options += ["-x", _TESTS.format(folder=re.escape(str(folder)))]
    options += ["-s", str(folder), "-p", image_folder]
    options += ["-e", str(folder)]  # skip links that lead out of the folder: their targets are the builder's
    # The compiler runs in / and without a user site (-s), so it imports no module of the packages.
    done = subprocess.run(  # noqa: S603 - our own command, with no shell
        [python, "-s", "-m", "compileall", *options, str(folder)],
        env={"PYTHONHASHSEED": "0"},
        cwd="/",
        check=False,
        capture_output=True,
        timeout=_COMPILE_SECONDS,
    )
    # The exit code is 1 if a file does not compile: packages may have files for other versions of Python.
    if done.returncode not in {0, 1}:
        raise BuildStepFailedError(f"byte code cannot be compiled: {done.stderr.decode(errors='replace')}")


def _is_regular(path: Path) -> bool:
    """Return whether a path is a file, and not a link to one, whose target a package may choose."""
    return path.is_file() and not path.is_symlink()


def _updated_record(text: str, packages: Path, changed: Mapping[str, bytes]) -> str:
    """Return a RECORD of the files that exist, with the new hashes of changed files.

    Its format: https://packaging.python.org/en/latest/specifications/recording-installed-packages/.
    """
    rows = {}
    for path, *entry in csv.reader(io.StringIO(text)):
        if path in changed:
            digest = base64.urlsafe_b64encode(hashlib.sha256(changed[path]).digest()).rstrip(b"=")
            rows[path] = [f"sha256={digest.decode()}", str(len(changed[path]))]
        elif (packages / path).is_file():
            rows[path] = entry
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([path, *rows[path]] for path in sorted(rows))
    return out.getvalue()


def _replace(path: Path, content: bytes) -> None:
    """Write a new file in place of one that may be a hard link into uv's cache, and keep its mode."""
    mode = path.stat().st_mode
    path.unlink()
    path.write_bytes(content)
    path.chmod(mode)
