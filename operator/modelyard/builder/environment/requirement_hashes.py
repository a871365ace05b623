"""The option `--hash` of requirements, for wheels and source distributions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from modelyard.builder.environment.lock_file import LockedPackage
from modelyard.builder.environment.packages import normalized_name
from modelyard.builder.environment.requirements import Requirements
from modelyard.contract.errors import RequirementsInvalidError

_HASH: Final = re.compile(r"--hash[=\s]\s*(\S+)")


class RequirementHashes:
    """The option `--hash` of requirements. If one has it, all packages need it, as in pip."""

    def __init__(self, requirements: Requirements) -> None:
        self._of_name: dict[str, set[str]] = {}
        self._needed = "--require-hashes" in requirements.text.split()
        for line in requirements.text.splitlines():
            if found := _HASH.findall(line):
                name = re.split(r"[\s\[=<>!~;@]", line, maxsplit=1)[0]
                self._of_name[normalized_name(name)] = set(found)
        self._needed |= bool(self._of_name)

    def of(self, package: LockedPackage) -> Iterable[str]:
        """Return the hashes of the wheels of a package, those of the user if there are any."""
        if self._needed:
            return sorted(self._user_hashes(package.name))
        return sorted(f"sha256:{file.sha256}" for file in package.wheels if file.sha256)

    def check(self, name: str, digest: str, expected: str | None) -> None:
        """Raise RequirementsInvalidError if a source distribution does not have its hash."""
        if self._needed and digest not in self._user_hashes(name):
            raise RequirementsInvalidError(
                f"{name}: the source distribution has the hash {digest}, and no line has it"
            )
        if expected and digest != f"sha256:{expected}":
            raise RequirementsInvalidError(
                f"{name}: Hash mismatch: the index promised sha256:{expected}, not {digest}"
            )

    def _user_hashes(self, name: str) -> set[str]:
        try:
            return self._of_name[normalized_name(name)]
        except KeyError:
            raise RequirementsInvalidError(
                f"{name} has no --hash, which all packages must have if one has it"
            ) from None
