"""The Python of a conda environment: the scoring server beside the driver needs a version of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rattler import MatchSpec, RepoDataRecord, Version, VersionSpec

from modelyard.contract.errors import CondaFailedError
from modelyard.redaction import redact_text

_MIN: Final = (3, 11)  # of the scoring runtime: requires-python of pyproject.toml
_MINOR_VERSIONS: Final = ((2, range(8)), (3, range(50)))
_PATCH_VERSIONS: Final = range(30)  # the largest so far is 3.8.20
_WAY_OUT: Final = (
    f"the scoring server needs Python {_MIN[0]}.{_MIN[1]} or newer: require python>={_MIN[0]}.{_MIN[1]}, and"
    " remove the versions of packages that are made for an older Python"
)


def check_python(dependency: str, spec: MatchSpec) -> None:
    """Raise CondaFailedError for a specification of Python that only versions below 3.11 satisfy.

    Without this check, the solver reports the other packages of such a file, or that a channel has no such
    Python. Files of 2017 require python=3.5.2.
    """
    if spec.name is None or spec.name.normalized != "python" or spec.version is None:
        return
    allowed = VersionSpec(spec.version)
    if _allows(allowed, newer=False) and not _allows(allowed, newer=True):
        raise CondaFailedError(f"condaEnvFile requires {redact_text(dependency)}, but {_WAY_OUT}")


def python_version(records: Sequence[RepoDataRecord]) -> str:
    """Return the environment's Python version. Raises CondaFailedError if the server needs a newer one."""
    version = next(str(record.version) for record in records if record.name.normalized == "python")
    if tuple(map(int, version.split(".")[:2])) < _MIN:
        raise CondaFailedError(f"the environment has python {version}, but {_WAY_OUT}")
    return version


def _allows(allowed: VersionSpec, *, newer: bool) -> bool:
    """Return True if an old version of Python satisfies the specification, or a version for the server."""
    return any(
        allowed.matches(Version(f"{major}.{minor}.{patch}"))
        for major, minors in _MINOR_VERSIONS
        for minor in minors
        if ((major, minor) >= _MIN) == newer
        for patch in _PATCH_VERSIONS
    )
