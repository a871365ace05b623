"""A conda channel in a folder: generated packages with the index of a real channel."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rattler.index import index_fs

PREFIX: Final = "/placeholder" + "_placehold" * 20
"""Placeholder of the prefix in files of packages; long, because the path in a binary file must not grow."""


@dataclass(frozen=True)
class CondaPackage:
    """A package. Paths in `files` are below the prefix, of a pure Python package below `site-packages`."""

    name: str
    version: str
    depends: Sequence[str] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    executable: Sequence[str] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    entry_points: Sequence[str] = ()
    """Entry point such as `tool = package:main`; makes the package a pure Python one, for any platform."""
    subdir: str = "linux-64"
    declared: Sequence[Mapping[str, object]] = ()
    """More entries of paths.json, which need no file in the package."""

    @property
    def is_pure(self) -> bool:
        """Return True if the package contains Python files only."""
        return self.subdir == "noarch"


def write_channel(folder: Path, packages: Sequence[CondaPackage]) -> None:
    """Write packages and their index, in the older format (.tar.bz2) that the standard library supports."""
    for subdir in ("noarch", "linux-64"):
        (folder / subdir).mkdir(parents=True, exist_ok=True)
    for package in packages:
        write_package(folder / package.subdir / f"{package.name}-{package.version}-0.tar.bz2", package)
    asyncio.run(index_fs(folder))


def write_package(file: Path, package: CondaPackage) -> None:
    """Write one package as a .tar.bz2."""
    with tarfile.open(file, "w:bz2", compresslevel=1) as archive:
        for name, content in (_metadata(package) | dict(package.files)).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o755 if name in package.executable else 0o644
            archive.addfile(entry, io.BytesIO(content))
        for name, target in package.links.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)


def _metadata(package: CondaPackage) -> dict[str, bytes]:
    """Return the files below info/: https://docs.conda.io/projects/conda-build/en/stable/resources/package-spec.html."""
    index = {
        "name": package.name,
        "version": package.version,
        "build": "0",
        "build_number": 0,
        "depends": list(package.depends),
        "subdir": package.subdir,
        "timestamp": 1_700_000_000_000,
    }
    paths: list[Mapping[str, object]] = [_path(name, content) for name, content in package.files.items()]
    paths += [{"_path": name, "path_type": "softlink"} for name in package.links]
    paths += package.declared
    link = {"noarch": {"type": "python", "entry_points": list(package.entry_points)}}
    metadata = {
        "info/index.json": index | ({"noarch": "python"} if package.is_pure else {}),
        "info/paths.json": {"paths": paths, "paths_version": 1},
        "info/about.json": {},
    } | ({"info/link.json": link | {"package_metadata_version": 1}} if package.is_pure else {})
    return {name: json.dumps(value).encode() for name, value in metadata.items()}


def _path(name: str, content: bytes) -> dict[str, object]:
    path = {
        "_path": name,
        "path_type": "hardlink",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_in_bytes": len(content),
    }
    if PREFIX.encode() not in content:
        return path
    return path | {"prefix_placeholder": PREFIX, "file_mode": "binary" if b"\0" in content else "text"}
