"""Which packages a folder holds, for bill of materials and provenance."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Set
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path
from urllib.parse import quote


@dataclass(frozen=True)
class Package:
    """An installed package as it says itself; plain values, since a layer that is reused has it as JSON."""

    name: str
    version: str
    license: str | None = None
    """An SPDX expression, or the name that its author wrote."""
    ecosystem: str = "pypi"
    """A type of package URL: pypi, conda."""
    qualifiers: str = ""
    """Of the package URL: `build=h767d61c_3&subdir=linux-64`."""
    digest: str | None = None
    """sha256:<64 hex> of the file that it came in; in `pypi`, of its RECORD, which has those of its files."""

    @property
    def purl(self) -> str:
        """https://github.com/package-url/purl-spec/blob/main/types/pypi-definition.json"""
        name = self.name.lower().replace("_", "-") if self.ecosystem == "pypi" else self.name
        return package_url(self.ecosystem, name, self.version, self.qualifiers)


def package_url(kind: str, name: str, version: str, qualifiers: str = "") -> str:
    """`pkg:kind/name@version?qualifiers`."""
    return f"pkg:{kind}/{quote(name, safe='')}@{quote(version, safe='')}" + (
        f"?{qualifiers}" if qualifiers else ""
    )


def find_packages(folder: Path) -> list[Package]:
    """All packages below the folder, an environment or a runtime, by name."""
    conda = list(_conda_packages(folder))
    theirs = {info for _, infos in conda for info in infos}
    listed = [*(package for package, _ in conda), *_pip_packages(folder, theirs)]
    return sorted(listed, key=lambda package: (package.name.lower(), package.version))


def _conda_packages(folder: Path) -> Iterator[tuple[Package, frozenset[str]]]:
    """Those of a conda environment, each with the names of the dist-info folders that came in it."""
    for file in folder.rglob("conda-meta/*.json"):
        record = json.loads(file.read_bytes())
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


def _pip_packages(folder: Path, but: Set[str]) -> Iterator[Package]:
    for info in folder.rglob("*.dist-info"):
        if info.name in but:
            continue
        installed = Distribution.at(info)
        yield Package(
            name=installed.metadata["Name"],
            version=installed.metadata["Version"],
            license=installed.metadata["License-Expression"] or _short(installed.metadata["License"]),
            digest=_digest(installed.read_text("RECORD")),
        )


def _short(text: str | None) -> str | None:
    """The name of a licence; many packages have its whole text there."""
    return text.strip() if text and "\n" not in text.strip() else None


def _digest(record: str | None) -> str | None:
    return f"sha256:{hashlib.sha256(record.encode()).hexdigest()}" if record is not None else None
