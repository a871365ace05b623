"""The versions that an environment names: an environment that names all of them cannot change over time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from modelyard.builder.environment.packages import Package, normalized_name
from modelyard.builder.environment.requirements import parse_requirements
from modelyard.coded_error import CodedError

_CONDA_PIN: Final = re.compile(r"(?:\S+::)?\s*([\w.-]+)\s*={1,2}\s*([\w.!+]+)(?:=\S+)?")
_WHEEL_WITH_HASH: Final = re.compile(
    r"\S*/([^/#\s-]+)-([^/#-]+)-[^/#]*\.whl\S*#(?:\S*&)?sha256=[0-9a-f]{64}\S*"
)


@dataclass(frozen=True)
class Pins:
    """The lines of an environment that may name versions."""

    requirements: str = ""
    """Lines of a requirements.txt."""
    conda: tuple[str, ...] = ()
    """Match specifications of conda."""

    def cover(self, packages: Iterable[Package]) -> bool:
        """Return whether the lines name the version of each installed package.

        A URL names a version only with the hash of the wheel. A package that others require, and that no line
        names, is not covered.
        """
        pinned = {*self._of_pip(), *self._of_conda()}
        return all((item.ecosystem, normalized_name(item.name), item.version) in pinned for item in packages)

    def _of_pip(self) -> Iterable[tuple[str, str, str]]:
        # Imported here, because the import takes a tenth of a builder's start, and few builds need it.
        from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415

        try:
            lines = parse_requirements(self.requirements).text.splitlines()
        except CodedError:
            return
        for line in lines:
            requirement = line.partition(" --hash")[0].strip()
            if wheel := _WHEEL_WITH_HASH.fullmatch(requirement.partition(" @ ")[2].strip() or requirement):
                yield "pypi", normalized_name(wheel[1]), wheel[2]
                continue
            try:
                specifiers = Requirement(requirement).specifier
            except InvalidRequirement:
                continue  # an option, or a URL without a name
            yield from (
                ("pypi", normalized_name(Requirement(requirement).name), item.version)
                for item in specifiers
                if item.operator in {"==", "==="}
            )

    def _of_conda(self) -> Iterable[tuple[str, str, str]]:
        matches = (_CONDA_PIN.fullmatch(text) for text in self.conda)
        return (("conda", normalized_name(found[1]), found[2]) for found in matches if found)
