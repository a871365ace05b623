"""Wheels and conda packages with hostile entries: nothing outside of their folder changes."""

from __future__ import annotations

import bz2
import io
import json
import os
import random
import shutil
import sys
import tarfile
import tempfile
import time
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from rattler.exceptions import ExtractError
from rattler.package_streaming import extract
from tests.fuzz.tally import Tally

from modelyard.builder.environment.conda_errors import panic_errors
from modelyard.builder.environment.conda_package import check_package, check_together
from modelyard.builder.environment.pip_settings import PipSettings
from modelyard.builder.environment.requirements import parse_requirements
from modelyard.builder.environment.target import Target
from modelyard.builder.environment.uv import Uv
from modelyard.builder.log import BuildLog
from modelyard.coded_error import CodedError

_SENTINEL: Final = "content of the sentinel"
_NAMES: Final = (
    *("a", "b", "lib/a", "lib/b/c", "lib/link/x", "lib/link", "link", "link/x", "link/y/x", "bin/x"),
    *("site-packages/x/a.py", "site-packages/link", "python-scripts/x"),
)
_LINK_NAMES: Final = ("link", "link/x", "lib/link/x")
_LINK_TARGETS: Final = (".", "../a", "../..")
"""Pairs of these lead outside once the links of both packages are in one environment."""
_HOSTILE_NAMES: Final = (
    *(
        "conda-meta/x.json",
        "info/x",
        "../x",
        "../../x",
        "/x",
        "a/../../x",
        "./a",
        "..",
        ".",
        "x\\..\\x",
        "\u202e",
        "x" * 300,
    ),
)
_TARGETS: Final = (
    *("a", "b", "lib", "lib/b", "link", "x", ".", "..", "../lib", "../a", "../../a", "link/a"),
    *("/etc/passwd", "../sentinel", "../../sentinel", "../../../sentinel", "link/..", "link/../.."),
)
_WHEEL_NAMES: Final = (
    *("x/a.py", "x/../../y", "../y", "../../../y", "/tmp/fuzz-of-wheels", "x/link", "x/link/a", "x//a"),
    *("x-1.0.data/scripts/run", "x-1.0.data/data/../../y", "x-1.0.data/purelib/x/b.py", "x\\..\\..\\y"),
    *("x-1.0.data/headers/../../../y", "x-1.0.data/scripts/../../y", "x-1.0.dist-info/RECORD", "y.pth"),
    *("x-1.0.dist-info/entry_points.txt", "x-1.0.data/data/lib/link", "x-1.0.dist-info/../../y"),
)
_WHEEL_FILES: Final = {
    "x/__init__.py": "",
    "x-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: x\nVersion: 1.0\n",
    "x-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "x-1.0.dist-info/RECORD": "x/__init__.py,,\nx-1.0.dist-info/METADATA,,\nx-1.0.dist-info/WHEEL,,\n",
}
_ENTRY_POINTS: Final = ("[console_scripts]\n../../y = x:f\n", "[console_scripts]\n/tmp/y = x:f\n", "[", "")
_HERE: Final = Target(f"{sys.version_info.major}.{sys.version_info.minor}", "linux/amd64")
_LINKED: Final = "environment"


def run_conda(tally: Tally, inputs: int, seed: int) -> None:
    """Extract and check pairs of packages, and link those that pass as rattler links them."""
    chance = random.Random(seed)
    for _ in range(inputs):
        has_links = chance.random() < 0.5
        packages = [bz2.compress(_conda_tar(chance, has_links=has_links), 1) for _ in range(2)]
        packages[0] = _damaged(chance, packages[0])
        tally.inputs += 1
        started = time.process_time()
        with _watched(tally, packages) as work:
            folders = [work / f"p{number}" for number in range(len(packages))]
            for content, folder in zip(packages, folders, strict=True):
                file = folder.with_suffix(".tar.bz2")
                file.write_bytes(content)
                with panic_errors():
                    extract(file, folder)
            check_together(
                [check_package(folder.name, folder, "lib/python3.12/site-packages") for folder in folders]
            )
            for folder in folders:
                _link(tally, packages, folder, work / _LINKED)
            for path in (work / _LINKED).rglob("*"):
                if not Path(os.path.realpath(path)).is_relative_to(work / _LINKED):
                    tally.escape(packages, f"{path} leads outside of the environment")
        tally.check_time(packages, started)


def run_wheels(tally: Tally, inputs: int, seed: int) -> None:
    """Install wheels with uv, each in a process of its own."""
    chance = random.Random(seed)
    for _ in range(inputs):
        content = _damaged(chance, _wheel(chance))
        tally.inputs += 1
        with _watched(tally, content) as work:
            (work / "x-1.0-py3-none-any.whl").write_bytes(content)
            conf = work / "pip.conf"
            conf.write_text(f"[global]\nno-index = true\nfind-links = {work}\n")
            destination = [f"--target={work / 'tree'}"]
            log = BuildLog(io.StringIO())
            Uv(parse_requirements("x"), _HERE, PipSettings(pip_conf=conf), log).install(destination, work)
            for file in (work / "tree").rglob("*"):
                if file.is_file() and file.read_bytes() == _SENTINEL.encode():
                    tally.escape(content, "a file outside was read")


@contextmanager
def _watched(tally: Tally, content: object) -> Iterator[Path]:
    """Yield a folder beside a file that must stay as it is. Errors with a code end the block."""
    with tempfile.TemporaryDirectory() as name:
        base = Path(name).resolve()
        work = base / "below" / "work"
        work.mkdir(parents=True)
        (base / "sentinel").write_text(_SENTINEL)
        (work.parent / "sentinel").write_text(_SENTINEL)
        try:
            yield work
        except (CodedError, ExtractError, OSError):
            pass
        except BaseException as error:
            tally.crash(content, error)
        outside = {str(path.relative_to(base)) for path in (*base.iterdir(), *work.parent.iterdir())}
        if outside != {"below", "sentinel", "below/work", "below/sentinel"}:
            tally.escape(content, f"created outside: {sorted(outside)}")
        for sentinel in (base / "sentinel", work.parent / "sentinel"):
            if sentinel.read_text() != _SENTINEL or sentinel.stat().st_nlink != 1:
                tally.escape(content, "a file outside was changed")


def _link(tally: Tally, content: object, package: Path, environment: Path) -> None:
    """Link a package that has passed the checks: files are copied through links, and links are created."""
    environment.mkdir(exist_ok=True)
    for path in sorted(path for path in package.rglob("*") if path.is_symlink() or path.is_file()):
        relative = path.relative_to(package)
        if relative.parts[0] == "info":
            continue
        place = environment / relative
        if not Path(os.path.realpath(place.parent)).is_relative_to(environment):
            tally.escape(content, f"{relative} is linked outside of the environment")
            continue
        if not Path(os.path.realpath(path)).is_relative_to(package):
            tally.escape(content, f"{relative} leads outside of the package")
            continue
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place, follow_symlinks=False)
        except (OSError, shutil.Error):
            continue


def _conda_tar(chance: random.Random, *, has_links: bool) -> bytes:
    out = io.BytesIO()
    index = {"name": "p", "version": "1", "build": "0", "build_number": 0, "depends": []}
    if chance.random() < 0.3:
        index["noarch"] = "python"
    names = chance.sample(_LINK_NAMES if has_links else _NAMES, chance.randrange(1, 3))
    if chance.random() < 0.1:
        names.append(chance.choice(_HOSTILE_NAMES))
    file = {"path_type": "hardlink", "sha256": "0" * 64, "size_in_bytes": 1}
    paths = [{"_path": name, **file} for name in names]
    command = chance.choice(("x = y:z", "x = y:z", "x = y:z", "../x = y:z", "/x=y:z"))
    link = {"noarch": {"type": "python", "entry_points": [command]}}
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in (
            ("info/index.json", json.dumps(index)),
            ("info/paths.json", json.dumps({"paths_version": 1, "paths": paths})),
            ("info/link.json", json.dumps(link | {"package_metadata_version": 1})),
        ):
            _add(tar, tarfile.TarInfo(name), text.encode())
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.type = chance.choice((tarfile.REGTYPE, tarfile.SYMTYPE))
            if chance.random() < 0.05:
                entry.type = tarfile.LNKTYPE
            target = chance.choice(_TARGETS[:8] if chance.random() < 0.9 else _TARGETS)
            up = "../" * (len(PurePosixPath(name).parts) - 1)
            entry.linkname = up + target if chance.random() < 0.8 else target
            if has_links:
                entry.type, entry.linkname = tarfile.SYMTYPE, chance.choice(_LINK_TARGETS)
            _add(tar, entry, b"x" if entry.isreg() else b"")
    return out.getvalue()


def _add(tar: tarfile.TarFile, entry: tarfile.TarInfo, content: bytes) -> None:
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _wheel(chance: random.Random) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, warnings.catch_warnings(action="ignore"):
        for name, text in _WHEEL_FILES.items():
            archive.writestr(name, text)
        for _ in range(chance.randrange(1, 5)):
            entry = zipfile.ZipInfo(chance.choice(_WHEEL_NAMES))
            entry.create_system = 3  # Unix, whose modes have the type of a file
            is_link = chance.random() < 0.4
            entry.external_attr = (0o120777 if is_link else 0o100755) << 16
            text = chance.choice(_TARGETS) if is_link else chance.choice(_ENTRY_POINTS)
            archive.writestr(entry, text)
    return out.getvalue()


def _damaged(chance: random.Random, content: bytes) -> bytes:
    """Return the bytes unchanged in most cases, else with some bytes changed."""
    if chance.random() < 0.8:
        return content
    damaged = bytearray(content)
    for _ in range(chance.randrange(1, 4)):
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
    return bytes(damaged)
