"""Which lines of a requirements.txt are for the builder that runs nothing.

The rest is refused with its way out: what would have to be built needs the Docker builder, and what names a
file must not, since files here are the builder's, credentials among them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from modelyard.builder.environment.advice import DOCKER
from modelyard.contract.errors import (
    RequirementsInvalidError,
    WheelMissingError,
)
from modelyard.contract.urls import (
    PACKAGE_SUFFIXES,
)
from modelyard.redaction import redact_text

_CONTINUED: Final = re.compile(r"\\\r?\n")
_COMMENT: Final = re.compile(r"(?:^|\s+)#.*$", re.MULTILINE)
_VARIABLE: Final = re.compile(r"\$\{\w+\}")
_OPTION: Final = re.compile(r"(--?[A-Za-z][A-Za-z-]*)(?:[=\s]\s*(\S+))?")
_SECOND_OPTION: Final = re.compile(r"\s-(?!-hash[=\s])")
_WEB: Final = re.compile(r"https?://", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"https?://\S+", re.IGNORECASE)
_VERSION_CONTROL: Final = re.compile(r"(?:git|hg|svn|bzr)\+", re.IGNORECASE)
_NAMED: Final = re.compile(r"[A-Za-z0-9][\w.-]*\s*(?:\[[^\]]*\]\s*)?(?:@\s*(?P<url>\S*)|(?=[<>=!~;(\s])|$)")
"""The start of a requirement (https://peps.python.org/pep-0508/)."""

_SWITCHES: Final = frozenset({"--no-index", "--require-hashes"})
_ADDRESSES: Final = frozenset({"--index-url", "-i", "--extra-index-url", "--find-links", "-f"})
_INDEX: Final = ("--index-url", "-i")
_MORE_INDEXES: Final = "--extra-index-url"
_WITHOUT_EFFECT: Final = frozenset({"--prefer-binary", "--only-binary", "--use-feature"})
_FILES: Final = frozenset({"--requirement", "-r", "--constraint", "-c", "--find-links", "-f"})
_SOURCES: Final = frozenset({"--editable", "-e", "--no-binary"})


@dataclass(frozen=True)
class Requirements:
    """The lines to install, and uv's arguments for those that its requirements files do not know."""

    text: str
    arguments: tuple[str, ...] = ()
    own_index: bool = False
    """They name an index, which then replaces the pip.conf's."""
    more_indexes: bool = False
    """They name an index besides."""

    @property
    def addresses(self) -> list[str]:
        """URLs that they name: of indexes, lists and wheels."""
        return _ADDRESS.findall(self.text)


def checked(text: str) -> Requirements:
    """The lines of a requirements.txt; raises RequirementsInvalidError, WheelMissingError."""
    lines: list[str] = []
    arguments: list[str] = []
    for line in map(str.strip, _CONTINUED.sub("", _COMMENT.sub("", text)).splitlines()):
        if _VARIABLE.search(line):
            raise _invalid(line, "has a variable, and builds have none: write its value")
        if line.startswith("-"):
            _take_option(line, lines, arguments)
        elif line:
            lines.append(_requirement(line))
    return Requirements(
        "".join(f"{line}\n" for line in lines),
        tuple(arguments),
        own_index=any(line.startswith(_INDEX) for line in lines),
        more_indexes=any(line.startswith(_MORE_INDEXES) for line in lines),
    )


def _take_option(line: str, lines: list[str], arguments: list[str]) -> None:
    found = _OPTION.fullmatch(line)
    if found is None:
        raise _invalid(line, "is not one option and its value: write each on a line of its own")
    option, value = found[1], found[2] or ""
    if option in _SWITCHES or (option in _ADDRESSES and _WEB.match(value)):
        lines.append(line)
    elif option == "--pre":
        arguments.append("--prerelease=allow")
    elif option == "--trusted-host":
        arguments.append(f"--allow-insecure-host={value}")
    elif option in _WITHOUT_EFFECT:
        return
    elif option in _SOURCES:
        raise _needs_build(line)
    elif option in _FILES:
        raise _invalid(line, "names a file: write its lines out, or give the URL of all as pipRequirements")
    else:
        raise _invalid(line, f"has an option that this builder does not know; {DOCKER}")


def _requirement(line: str) -> str:
    named = _NAMED.match(line)
    source = named["url"] if named else line.split(maxsplit=1)[0]
    if _SECOND_OPTION.search(line):
        raise _invalid(line, f"has an option that this builder does not know; {DOCKER}")
    if _VERSION_CONTROL.match(source or ""):
        raise _needs_build(line)
    if source is None and not _is_archive(line.split(maxsplit=1)[0]):
        return line
    if source is None or not _WEB.match(source):
        raise _invalid(line, "is no package's name; a file here must be the URL of a wheel")
    if not urlsplit(source).path.endswith(".whl"):
        raise _needs_build(line)
    return line


def _is_archive(name: str) -> bool:
    return name.lower().endswith(PACKAGE_SUFFIXES)


def _invalid(line: str, why: str) -> RequirementsInvalidError:
    return RequirementsInvalidError(f"pipRequirements: {redact_text(line)!r} {why}")


def _needs_build(line: str) -> WheelMissingError:
    return WheelMissingError(
        f"pipRequirements: {redact_text(line)!r} has to be built from source, which this builder cannot;"
        f" give a wheel, or {DOCKER}"
    )
