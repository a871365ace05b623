"""The content of a conda environment file.

Its format: https://docs.conda.io/projects/conda/en/stable/user-guide/tasks/manage-environments.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from modelyard.contract.errors import CondaFileInvalidError
from modelyard.redaction import redact_text, split_url

_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # 10 times as fast with libyaml
_MAX_DEPTH: Final = 20  # conda's own format has 3 levels
_VALUE_ERRORS: Final = (ValueError, LookupError, AttributeError, TypeError, OverflowError)
"""Errors of PyYAML's constructors for a date such as 9999-99-99, a number of 5000 digits, or `!!bool x`."""
_IGNORED: Final = ("name", "prefix")  # name and folder on the machine that exported the file
_KEYS: Final = ("channels", "dependencies", "variables", *_IGNORED)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED: Final = frozenset({"PATH", "PYTHONPATH", "PYTHONHOME"})  # the server needs the image's own values
_NO_DEFAULTS: Final = "nodefaults"  # disables implicit channels, of which builds have none
_TOKEN: Final = "/t/"  # noqa: S105 - https://conda.anaconda.org/t/<token>/<channel>
_PATH_OR_OTHER_URL: Final = re.compile(
    r"\b(?!https?:)[a-z][a-z0-9+.-]{0,30}:/|\bfile:(?!:)|(?:^|[\s=\['\",])[.~]*/", re.IGNORECASE
)
"""The path of a file, or a URL that is not http(s): both would name files of the builder."""
_NAME: Final = re.compile(r"(?:.*::)?\s*([A-Za-z0-9_.-]+)")


@dataclass(frozen=True)
class CondaFile:
    """The content of an environment file."""

    dependencies: tuple[str, ...]
    """Match specifications of conda as in the file, such as `numpy>=2` or `conda-forge::python=3.12`."""
    channels: tuple[str, ...] = ()
    """Names or URLs, the preferred one first; empty for the default channels of the platform."""
    pip: tuple[str, ...] = ()
    """Lines of a requirements.txt, the list `pip:` of the dependencies."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables of the driver."""

    @property
    def names_python(self) -> bool:
        """Return True if Python itself is among the dependencies."""
        names = (_NAME.match(dependency) for dependency in self.dependencies)
        return any(name is not None and name[1].lower() == "python" for name in names)


def read_conda_file(text: str) -> CondaFile:
    """Parse an environment file. Raises CondaFileInvalidError, whose message names the key or line."""
    content = _parse_yaml(text)
    if not isinstance(content, dict):
        raise CondaFileInvalidError("not an environment file: it must have a list `dependencies`")
    unknown = [str(key) for key in content if key not in _KEYS]
    if unknown:
        raise CondaFileInvalidError(f"unknown keys: {', '.join(unknown)}; use {', '.join(_KEYS)}")
    packages, pip = _dependencies(content.get("dependencies"))
    channels = _texts("channels", content.get("channels") or [])
    for reference in (*channels, *packages):
        if _PATH_OR_OTHER_URL.search(reference):
            raise CondaFileInvalidError(f"{redact_text(reference)!r} is neither a name nor an http(s) URL")
    return CondaFile(
        dependencies=packages,
        channels=tuple(_channel(channel) for channel in channels if channel != _NO_DEFAULTS),
        pip=pip,
        variables=_variables(content.get("variables") or {}),
    )


def _parse_yaml(text: str) -> Any:
    """Return the content of a document. Raises CondaFileInvalidError, also for deep ones and for aliases."""
    try:
        _check_structure(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise CondaFileInvalidError(f"not YAML{f', line {mark.line + 1}' if mark else ''}") from None
    except _VALUE_ERRORS:
        raise CondaFileInvalidError("a value is too long or has no value of its type: quote it") from None


def _check_structure(text: str) -> None:
    """Raise CondaFileInvalidError before the parser builds objects, whose number aliases can multiply."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            raise CondaFileInvalidError(f"the alias *{event.anchor:.20} is not supported: write its value")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise CondaFileInvalidError(f"lists and mappings are more than {_MAX_DEPTH} levels deep")


def _dependencies(items: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the dependencies of conda, and those of pip."""
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


def _texts(key: str, items: Any) -> tuple[str, ...]:
    if not isinstance(items, list) or not all(isinstance(item, str) and item.strip() for item in items):
        raise CondaFileInvalidError(f"{key} must be a list of texts")
    return tuple(item.strip() for item in items)


def _channel(channel: str) -> str:
    url = split_url(channel)
    if url is None:
        raise CondaFileInvalidError("a channel has an invalid URL: correct the URL")
    if "@" in url.netloc or _TOKEN in url.path:
        # Every reader of the manifest could read the credentials, and the image records the URLs of packages.
        raise CondaFileInvalidError(
            f"the channel at {url.hostname} contains credentials: set them in the Secret of the chart,"
            " build.conda.secretName"
        )
    return channel


def _variables(items: Any) -> dict[str, str]:
    if not isinstance(items, dict) or any(isinstance(value, dict | list) for value in items.values()):
        raise CondaFileInvalidError("variables must be a mapping of names to single values")
    for name in items:
        if not _VARIABLE.fullmatch(str(name)) or name in _RESERVED:
            raise CondaFileInvalidError(f"variables: {str(name)!r} cannot be set")
    try:
        return {str(name): "" if value is None else str(value) for name, value in items.items()}
    except ValueError:  # Python formats no integer of more than 4300 digits
        raise CondaFileInvalidError("variables: a number is too long: quote it") from None
