"""Packages that a build installs in an older version than the newest that the requirements allow.

The resolver of uv goes back if newer versions need a package without a wheel. It does not report that:
`azureml-defaults` of 2026 became the one of 2019.
"""

from __future__ import annotations

import re
from typing import Final

from modelyard.builder.environment.packages import normalized_name

LOG_FILTER: Final = "uv_resolver::resolver=debug"
"""The value of RUST_LOG for the lines that ResolvedVersions reads. The tests of this module run uv."""
_RECORDS: Final = ("DEBUG ", "WARN ")
_RESULTS: Final = ("Resolved ", "error", "hint")
"""Starts of lines that end the lines of a warning."""
_SELECTED: Final = re.compile(r"DEBUG Selecting: ([\w.-]+)(?:\[[^\]]*\])?==(\S+) \[compatible\]")
_INSTALLED: Final = re.compile(r" \+ ([\w.-]+)==(\S+)")
_REQUIRED: Final = re.compile(r"([A-Za-z0-9][\w.-]*)")


class ResolvedVersions:
    """Reads the output of uv: the first choice and the installed version of each package."""

    def __init__(self, requirements: str) -> None:
        """Report only packages that `requirements` names, the lines of the user."""
        self._names = [found[1] for line in requirements.splitlines() if (found := _REQUIRED.match(line))]
        self._selected: dict[str, str] = {}
        self._installed: dict[str, str] = {}
        self._is_warning = False

    def read(self, line: str) -> bool:
        """Read a line of uv's output. Return True for a line of the resolver, which is not for the log."""
        if line.startswith(_RECORDS):
            self._is_warning = line.startswith("WARN ")
            if selected := _SELECTED.match(line):
                self._selected.setdefault(normalized_name(selected[1]), selected[2])
            return True
        self._is_warning = self._is_warning and not line.startswith(_RESULTS)
        if installed := _INSTALLED.match(line):
            self._installed[normalized_name(installed[1])] = installed[2]
        return self._is_warning

    def notes(self) -> list[str]:
        """Return a line for the log per required package that is older than the first choice."""
        # Imported here, because the import takes a tenth of a builder's start, and few builds need it.
        from packaging.version import Version  # noqa: PLC0415

        notes = []
        for name in dict.fromkeys(map(normalized_name, self._names)):
            newest, installed = self._selected.get(name), self._installed.get(name)
            if newest and installed and Version(newest) > Version(installed):
                notes.append(
                    f"{name} {installed} is installed, not {newest}: newer versions need a package without a"
                    f" wheel, or contradict another requirement. Require {name}=={newest} to see the reason"
                )
        return notes
