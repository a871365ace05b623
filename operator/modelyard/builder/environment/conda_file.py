"""What a conda environment file asks for.

Its format: https://docs.conda.io/projects/conda/en/stable/user-guide/tasks/manage-environments.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from modelyard.contract.errors import CondaFileInvalidError
from modelyard.redaction import redact_text

_IGNORED: Final = ("name", "prefix")  # where it was on the machine that it was exported from
_KEYS: Final = ("channels", "dependencies", "variables", *_IGNORED)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OURS: Final = frozenset({"PATH", "PYTHONPATH", "PYTHONHOME"})  # with others, no Python would start
_NO_DEFAULTS: Final = "nodefaults"  # says what is always so here: no channels but those that are named
_TOKEN: Final = "/t/"  # noqa: S105 - https://conda.anaconda.org/t/<token>/<channel>
_ELSEWHERE: Final = re.compile(r"\b(?!https?:)[a-z][a-z0-9+.-]*:/|(?:^|[\s=\['\",])[.~]*/", re.IGNORECASE)
"""A URL that is not of the web, or the path of a file: files here are the builder's."""
_NAME: Final = re.compile(r"(?:.*::)?\s*([A-Za-z0-9_.-]+)")


@dataclass(frozen=True)
class CondaFile:
    """An environment file, read."""

    dependencies: tuple[str, ...]
    """Conda's specifications as they are written, such as `numpy>=2` or `conda-forge::python=3.12`."""
    channels: tuple[str, ...] = ()
    """Names or URLs, the preferred one first; empty: those of the builder."""
    pip: tuple[str, ...] = ()
    """Lines of a requirements.txt."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for the driver."""

    @property
    def names_python(self) -> bool:
        """Whether Python itself is among the dependencies."""
        names = (_NAME.match(dependency) for dependency in self.dependencies)
        return any(name is not None and name[1].lower() == "python" for name in names)


def read_conda_file(text: str) -> CondaFile:
    """Raises CondaFileInvalidError, which names the place."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise CondaFileInvalidError(f"not YAML{f', line {mark.line + 1}' if mark else ''}") from None
    if not isinstance(content, dict):
        raise CondaFileInvalidError("not an environment file: it must have a list `dependencies`")
    unknown = [str(key) for key in content if key not in _KEYS]
    if unknown:
        raise CondaFileInvalidError(f"{', '.join(unknown)} is not known: there are {', '.join(_KEYS)}")
    packages, pip = _dependencies(content.get("dependencies"))
    channels = _texts("channels", content.get("channels") or [])
    for named in (*channels, *packages):
        if _ELSEWHERE.search(named):
            raise CondaFileInvalidError(f"{redact_text(named)!r} is neither a name nor an http(s) url")
    return CondaFile(
        dependencies=packages,
        channels=tuple(_channel(channel) for channel in channels if channel != _NO_DEFAULTS),
        pip=pip,
        variables=_variables(content.get("variables") or {}),
    )


def _dependencies(items: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Conda's, and pip's."""
    if not isinstance(items, list) or not items:
        raise CondaFileInvalidError("dependencies must be a list of packages")
    pip: list[str] = []
    for item in items:
        if not isinstance(item, dict):
            continue
        if item.keys() != {"pip"}:
            raise CondaFileInvalidError("dependencies must be packages, and one list `pip:` at most")
        pip += _texts("dependencies, pip:", item["pip"] or [])
    return _texts("dependencies", [item for item in items if not isinstance(item, dict)]), tuple(pip)


def _texts(where: str, items: Any) -> tuple[str, ...]:
    if not isinstance(items, list) or not all(isinstance(item, str) and item.strip() for item in items):
        raise CondaFileInvalidError(f"{where} must be a list of texts")
    return tuple(item.strip() for item in items)


def _channel(channel: str) -> str:
    url = urlsplit(channel)
    if "@" in url.netloc or _TOKEN in url.path:
        # Whoever may read the manifest would read them, and the image records where packages are from.
        raise CondaFileInvalidError(
            f"the channel at {url.hostname} carries credentials: they belong into the Secret that"
            " build.conda.secretName of the chart names"
        )
    return channel


def _variables(items: Any) -> dict[str, str]:
    if not isinstance(items, dict) or any(isinstance(value, dict | list) for value in items.values()):
        raise CondaFileInvalidError("variables must be names with one value each")
    for name in items:
        if not _VARIABLE.fullmatch(str(name)) or name in _OURS:
            raise CondaFileInvalidError(f"variables: {str(name)!r} cannot be set")
    return {str(name): "" if value is None else str(value) for name, value in items.items()}
