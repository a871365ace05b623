"""The packages installed in a folder, for the bill of materials and the provenance of an image."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any
from urllib.parse import quote


@dataclass(frozen=True)
class PackageSource:
    """The source distribution from which a build has made the wheel of a package."""

    url: str
    """Without credentials. For git `git+https://host/path@<commit>`."""
    digest: str
    """sha256:<64 hex> of the source distribution, for git of an archive of the commit."""
    wheel: str
    """sha256:<64 hex> of the wheel."""


@dataclass(frozen=True)
class Package:
    """An installed package by its own metadata. All fields are JSON values: a cached layer stores them."""

    name: str
    version: str
    license: str | None = None
    """An SPDX expression, or the name of the licence in the author's words."""
    ecosystem: str = "pypi"
    """The type of the package URL: pypi or conda."""
    qualifiers: str = ""
    """The qualifiers of the package URL, such as `build=h767d61c_3&subdir=linux-64`."""
    digest: str | None = None
    """sha256:<64 hex> of a conda package's file, or of the RECORD of a `pypi` package, which lists the hashes
    of its files."""
    source: PackageSource | None = None
    """The source distribution of a wheel that the build made; None for all other packages."""

    @property
    def purl(self) -> str:
        """Return the package URL.

        Names of PyPI are normalized as in
        https://github.com/package-url/purl-spec/blob/main/types/pypi-definition.json.
        """
        name = self.name.lower().replace("_", "-") if self.ecosystem == "pypi" else self.name
        return package_url(self.ecosystem, name, self.version, self.qualifiers)


def normalized_name(name: str) -> str:
    """Return the name of a package in its normal form: https://peps.python.org/pep-0503/#normalized-names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def package_url(kind: str, name: str, version: str, qualifiers: str = "") -> str:
    """Return `pkg:kind/name@version?qualifiers`, without the question mark if there are no qualifiers."""
    url = f"pkg:{kind}/{quote(name, safe='')}@{quote(version, safe='')}"
    return f"{url}?{qualifiers}" if qualifiers else url


def find_packages(folder: Path) -> list[Package]:
    """Return all packages below a folder, such as an environment or a runtime, sorted by name."""
    conda = list(_conda_packages(folder))
    dist_infos_of_conda = {name for _, names in conda for name in names}
    found = [*(package for package, _ in conda), *_pip_packages(folder, dist_infos_of_conda)]
    return sorted(found, key=lambda package: (package.name.lower(), package.version))


def _conda_packages(folder: Path) -> Iterator[tuple[Package, frozenset[str]]]:
    """Yield the conda packages, each with the names of its dist-info folders."""
    for file in folder.rglob("conda-meta/*.json"):
        record = read_record(file)
        if record is None:
            continue
        package = Package(
            name=record["name"],
            version=record["version"],
            license=record.get("license"),
            ecosystem="conda",
            qualifiers=f"build={quote(record['build'], safe='')}&subdir={record['subdir']}",
            digest=f"sha256:{record['sha256']}" if record.get("sha256") else None,
        )
        paths = (Path(path) for path in record.get("files", ()))
        yield package, frozenset(path.parent.name for path in paths if path.parent.suffix == ".dist-info")


def read_record(file: Path) -> dict[str, Any] | None:
    """Return the record of an installed conda package.

    None for a link, and for a file that is no record: packages may contain files in `conda-meta`.
    """
    if file.is_symlink() or not file.is_file():
        return None
    try:
        record = json.loads(file.read_bytes())
    except ValueError:
        return None
    is_record = isinstance(record, dict) and {"name", "version", "build", "subdir"} <= record.keys()
    return record if is_record else None


def _pip_packages(folder: Path, excluded: Set[str]) -> Iterator[Package]:
    """Yield the packages with a dist-info folder, except for folders with an excluded name."""
    for info in folder.rglob("*.dist-info"):
        if info.name in excluded or info.is_symlink() or (info / "METADATA").is_symlink():
            continue
        installed = Distribution.at(info)
        if not installed.metadata["Name"] or not installed.metadata["Version"]:
            continue  # no installed package: a file of a package may have such a path
        yield Package(
            name=installed.metadata["Name"],
            version=installed.metadata["Version"],
            license=installed.metadata["License-Expression"] or _license_name(installed.metadata["License"]),
            digest=_digest(installed.read_text("RECORD")),
        )


def _license_name(text: str | None) -> str | None:
    """Return the field License, None if it holds the whole text of a licence, as in many packages."""
    return text.strip() if text and "\n" not in text.strip() else None


def _digest(record: str | None) -> str | None:
    return f"sha256:{hashlib.sha256(record.encode()).hexdigest()}" if record is not None else None
