"""Makes of what uv installed a folder that is the same wherever and whenever it was made."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from modelyard.builder.environment.target import Target
from modelyard.builder.log import BuildLog
from modelyard.contract.errors import BuildStepFailedError

_COMPILE_SECONDS: Final = 900
_START_SECONDS: Final = 30
_COMPILERS: Final = 8
"""Processes of up to 50 MB each: a pod sees all cores of its node, and may use few."""

_SHEBANG: Final = b"#!/usr/bin/env python3\n"
_PYTHON_HERE: Final = re.escape(sys.executable.encode())
# A path that is too long for a shebang comes by way of a shell: https://github.com/pypa/distlib/blob/master/distlib/scripts.py
_OWN_SHEBANG: Final = re.compile(
    rb"\A#!(?:%b\n|/bin/sh\n'''exec' '?%b'? [^\n]*\n' '''\n)" % (_PYTHON_HERE, _PYTHON_HERE)
)
# Half of scikit-learn's and SciPy's modules; who imports them all the same waits for their compilation.
_TESTS: Final = "^{folder}/.*/tests?/"
# Where a package came from: a URL may hold a credential, a time is never the same.
_UNWANTED: Final = ("direct_url.json", "uv_cache.json", "uv_build.json")


def clean(folder: Path, packages: Path) -> None:
    """Scripts, in `bin`, find the Python of the image, and dist-info says only what is equal each time."""
    (folder / ".lock").unlink(missing_ok=True)
    changed: dict[str, bytes] = {}
    for script in filter(Path.is_file, (folder / "bin").glob("*")):
        content = script.read_bytes()
        if _OWN_SHEBANG.match(content):
            content = _OWN_SHEBANG.sub(_SHEBANG, content)
            _write(script, content)
            changed[os.path.relpath(script, packages)] = content
    for info in packages.glob("*.dist-info"):
        for name in _UNWANTED:
            (info / name).unlink(missing_ok=True)
        record = info / "RECORD"
        if record.is_file():
            _write(record, _record(record.read_text(), packages, changed).encode())


def compile_bytecode(folder: Path, place: str, target: Target, log: BuildLog) -> None:
    """Byte code beside each module, since a read-only container can keep none; `place` is the folder in the
    image. None of it when there is no Python of the target's version here, and the log says so.
    """
    python = _interpreter(target)
    if python is None:
        log.write(f"no byte code: the builder has no Python {target.minor}, so containers start more slowly")
        return
    # Nothing changes below it, so it is not checked. Packages may have files for other versions of Python,
    # which do not compile: what counts is that it ran. No folder of a package is ever one to import from.
    workers = str(min(_COMPILERS, len(os.sched_getaffinity(0))))
    command = [
        python,
        "-s",
        "-m",
        "compileall",
        "-qq",
        "-j",
        workers,
        "--invalidation-mode",
        "unchecked-hash",
    ]
    command += ["-x", _TESTS.format(folder=re.escape(str(folder)))]
    command += ["-s", str(folder), "-p", place, str(folder)]
    done = subprocess.run(  # noqa: S603 - our own command, with no shell
        command,
        env={"PYTHONHASHSEED": "0"},
        cwd="/",
        check=False,
        capture_output=True,
        timeout=_COMPILE_SECONDS,
    )
    if done.returncode not in {0, 1}:
        raise BuildStepFailedError(f"byte code could not be made: {done.stderr.decode(errors='replace')}")


def _interpreter(target: Target) -> str | None:
    """A Python of the target's minor version, which is what byte code is for."""
    if target.minor == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    found = shutil.which(f"python{target.minor}")
    if found is None:
        return None
    # A name alone says little: a version manager has one for each version that it could install.
    ran = subprocess.run([found, "-I", "-c", ""], check=False, capture_output=True, timeout=_START_SECONDS)  # noqa: S603
    return found if ran.returncode == 0 else None


def _record(text: str, packages: Path, changed: Mapping[str, bytes]) -> str:
    """A RECORD of what is there: https://packaging.python.org/en/latest/specifications/recording-installed-packages/."""
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


def _write(path: Path, content: bytes) -> None:
    """A file of its own: the old one may be a hard link to the cache."""
    mode = path.stat().st_mode
    path.unlink()
    path.write_bytes(content)
    path.chmod(mode)
