"""Checks of extracted conda packages before rattler links them into an environment.

rattler follows the symbolic links of a package and trusts the paths in its metadata. A package could use them
to copy files of the builder into an image, to write outside of the environment, or to abort the process.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from rattler.package import IndexJson, PathsJson

from modelyard.contract.errors import CondaPackageUnsafeError

_MAX_LINKS: Final = 40
"""Links that Linux follows in one path: https://man7.org/linux/man-pages/man7/path_resolution.7.html."""
_LINK_JSON: Final = "info/link.json"
_RECORDS: Final = "conda-meta"
_SITE_PACKAGES: Final = "site-packages"
_SCRIPTS: Final = "python-scripts"


@dataclass(frozen=True)
class CheckedPackage:
    """The entries of a package, as paths relative to the environment that it will be linked into."""

    name: str
    folders: frozenset[PurePosixPath]
    links: Mapping[PurePosixPath, str] = field(default_factory=dict)
    """Path → target of a symbolic link."""


def check_package(name: str, folder: Path, site_packages: str) -> CheckedPackage:
    """Check an extracted package, and return its entries. `name` is for messages.

    `site_packages` is the folder of Python modules in the environment, `lib/python3.12/site-packages` for
    example. Raises CondaPackageUnsafeError.
    """
    entries = dict(_entries(name, folder))
    # Metadata is parsed after all links are checked, because a file of metadata may itself be a link.
    try:
        is_pure = bool(IndexJson.from_package_directory(folder).noarch.python)
        paths = PathsJson.from_package_directory_with_deprecated_fallback(folder).paths
    except Exception as error:
        raise CondaPackageUnsafeError(f"the conda package {name} has damaged metadata: {error}") from None
    _check_records(name, [*map(str, entries), *(str(entry.relative_path) for entry in paths)])
    for entry in paths:
        path = str(entry.relative_path)
        _check_path(name, path)
        if entry.prefix_placeholder is not None and entries.get(PurePosixPath(path), "") is not None:
            raise CondaPackageUnsafeError(
                f"the conda package {name} declares a prefix for {path!r}, which is no file of the package"
            )
    if is_pure:
        _check_entry_points(name, folder)
    moved = {_SITE_PACKAGES: site_packages, _SCRIPTS: "bin"} if is_pure else {}
    in_environment = {_moved(path, moved): target for path, target in entries.items()}
    return CheckedPackage(
        name,
        frozenset(path.parent for path in in_environment),
        {path: target for path, target in in_environment.items() if target is not None},
    )


def check_together(packages: Iterable[CheckedPackage]) -> None:
    """Check that no link of one package leads an entry of another one outside of the environment.

    Raises CondaPackageUnsafeError.
    """
    packages = list(packages)
    links = {path: target for package in packages for path, target in package.links.items()}
    _add_locations(links)
    for package in packages:
        targets = (path.parent / target for path, target in package.links.items())
        for path in (*package.folders, *targets):
            if _resolved(path, links) is None:
                raise CondaPackageUnsafeError(
                    f"the conda package {package.name} has {str(path)!r}, which leads outside of the"
                    " environment through a link of another package: remove one of the packages"
                )


def check_environment(folder: Path) -> None:
    """Check that all links of an installed environment lead to paths inside of it.

    Raises CondaPackageUnsafeError.
    """
    for _ in _entries("of the environment", folder):
        pass


def check_relative(name: str, path: str | None) -> None:
    """Check a path in the metadata of a package's record. Raises CondaPackageUnsafeError."""
    if path is not None:
        _check_path(name, path)


def _entries(name: str, folder: Path) -> Iterator[tuple[PurePosixPath, str | None]]:
    """Yield each file and link below a folder, with the target of a link and None for a file."""
    root = os.path.realpath(folder)
    for parent, folders, files in os.walk(folder):
        for entry in (*folders, *files):
            absolute = f"{parent}/{entry}"
            path = PurePosixPath(os.path.relpath(absolute, folder))
            mode = os.lstat(absolute).st_mode
            if stat.S_ISLNK(mode):
                target = os.readlink(absolute)  # noqa: PTH115 - a Path would normalize the target
                _check_link(name, path, target, os.path.realpath(absolute), root)
                yield path, target
            elif stat.S_ISREG(mode):
                yield path, None
            elif not stat.S_ISDIR(mode):
                raise CondaPackageUnsafeError(
                    f"the conda package {name} has {str(path)!r}, which is no file: use another version"
                )


def _check_link(name: str, path: PurePosixPath, target: str, real: str, root: str) -> None:
    """Check that a link leads to a path inside of the package, by its text and by the links on its way."""
    lexical = os.path.normpath(path.parent / target)
    is_inside = not lexical.startswith(("/", "../")) and lexical != ".."
    if not is_inside or os.path.commonpath((root, real)) != root:
        raise CondaPackageUnsafeError(
            f"the conda package {name} has a link {str(path)!r} to {target!r}, outside of the package:"
            " use a version without it"
        )


def _check_path(name: str, path: str) -> None:
    if path.startswith("/") or ".." in PurePosixPath(path).parts or "\0" in path:
        raise CondaPackageUnsafeError(
            f"the conda package {name} names the path {path!r}, outside of the package: use a version without"
            " it"
        )


def _check_records(name: str, paths: Iterable[str]) -> None:
    """Check that a package brings no records of installed packages, which rattler writes and reads itself."""
    for path in paths:
        parts = PurePosixPath(path).parts
        if parts[:1] == (_RECORDS,) and path.endswith(".json"):
            raise CondaPackageUnsafeError(
                f"the conda package {name} has {path!r}, which is the place of rattler's own records"
            )


def _check_entry_points(name: str, folder: Path) -> None:
    """Check the commands of a pure Python package, which rattler writes as scripts into the folder `bin`."""
    file = folder / _LINK_JSON
    if not file.is_file():
        return
    try:
        link = json.loads(file.read_bytes(), object_pairs_hook=_unique_keys)
        commands = [str(text).partition("=")[0].strip() for text in link["noarch"].get("entry_points") or ()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CondaPackageUnsafeError(
            f"the conda package {name} has damaged metadata: {_LINK_JSON}: {error}"
        ) from None
    for command in commands:
        if "/" in command or command in {"", ".", ".."}:
            raise CondaPackageUnsafeError(
                f"the conda package {name} has the entry point {command!r}, which is no name of a file"
            )


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON. Parsers disagree about repeated keys, so they are refused."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is repeated")
    return found


def _moved(path: PurePosixPath, folders: Mapping[str, str]) -> PurePosixPath:
    """Return the path with its first folder replaced, as rattler links pure Python packages."""
    first, *rest = path.parts
    return PurePosixPath(folders.get(first, first), *rest)


def _add_locations(links: dict[PurePosixPath, str]) -> None:
    """Add the location of each link with the links on its way followed, in addition to its own path."""
    for _ in range(_MAX_LINKS):
        found = {}
        for path, target in links.items():
            folder = _resolved(path.parent, links)
            if folder is not None and folder / path.name not in links:
                found[folder / path.name] = target
        if not found:
            return
        links |= found


def _resolved(path: PurePosixPath, links: Mapping[PurePosixPath, str]) -> PurePosixPath | None:
    """Return a path with all links followed, None if it leads outside of the environment.

    A path of too many links, or of links in a circle, leads nowhere: its text is inside.
    """
    followed = 0
    resolved = PurePosixPath()
    remaining = list(reversed(path.parts))
    while remaining:
        part = remaining.pop()
        if part == "..":
            if not resolved.parts:
                return None
            resolved = resolved.parent
            continue
        target = links.get(resolved / part)
        if target is None:
            resolved /= part
            continue
        followed += 1
        if followed > _MAX_LINKS:
            return path
        remaining.extend(reversed(PurePosixPath(target).parts))
    return resolved
