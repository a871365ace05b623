"""The packages in a `pylock.toml` of uv for one target: https://peps.python.org/pep-0751/."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelyard.contract.errors import SourceBuildFailedError


@dataclass(frozen=True)
class LockedFile:
    """A file of a package."""

    url: str
    """http(s) URL, or the path of a file of this build."""
    sha256: str | None


@dataclass(frozen=True)
class LockedPackage:
    """A package with its version. It is built from its source if it has no wheel."""

    name: str
    version: str | None
    wheels: tuple[LockedFile, ...]
    source: LockedFile | None
    direct: bool
    """True if a URL names the package, and not an index."""


def read_lock(text: str) -> list[LockedPackage]:
    """Return the packages of a lock file. Raises SourceBuildFailedError for another text.

    Code of packages has run beside the file: nothing in it is trusted.
    """
    try:
        return [_package(entry) for entry in tomllib.loads(text).get("packages", [])]
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise SourceBuildFailedError(
            f"the versions of the packages cannot be read: {type(error).__name__}: {error}"
        ) from None


def _package(entry: Mapping[str, Any]) -> LockedPackage:
    wheels = tuple(_files(entry.get("wheels", ())))
    archive = entry.get("archive")
    source = next(_files([entry["sdist"]]), None) if "sdist" in entry else None
    if archive:
        file = next(_files([archive]))
        if file.url.endswith(".whl"):
            wheels = (file,)
        else:
            source = file
    version = entry.get("version")
    return LockedPackage(
        str(entry["name"]), str(version) if version else None, wheels, source, archive is not None
    )


def _files(entries: Any) -> Iterator[LockedFile]:
    for entry in entries:
        digest = entry.get("hashes", {}).get("sha256")
        yield LockedFile(str(entry.get("url") or entry["path"]), str(digest) if digest else None)
