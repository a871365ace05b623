"""Which lines of a requirements.txt are for the builder that runs nothing.

The rest is refused with its way out: what would have to be built needs the Docker builder, and what names a
file must not, since files here are the builder's, credentials among them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from modelyard.build.errors import RequirementsInvalidError, WheelMissingError
from modelyard.build.urls import PACKAGES, redact_text

DOCKER: Final = "set properties.builder of the manifest's targetRuntime to Docker, which can"

_CONTINUED: Final = re.compile(r"\\\r?\n")
_COMMENT: Final = re.compile(r"(^|\s+)#.*$")
_VARIABLE: Final = re.compile(r"\$\{[A-Z0-9_]+\}")
_OPTION: Final = re.compile(r"(--?[A-Za-z][A-Za-z-]*)[=\s]*(.*)")
_OF_A_REQUIREMENT: Final = re.compile(r"\s--(?!hash[=\s])[a-z-]+")
_WEB: Final = re.compile(r"https?://", re.IGNORECASE)
_VERSION_CONTROL: Final = re.compile(r"(?:git|hg|svn|bzr)\+", re.IGNORECASE)
_NAMED: Final = re.compile(r"[A-Za-z0-9][\w.-]*\s*(?:\[[^\]]*\]\s*)?(?:@\s*(?P<url>\S*)|(?=[<>=!~;(\s])|$)")
"""The start of a requirement (https://peps.python.org/pep-0508/)."""

_AS_THEY_ARE: Final = frozenset({"--index-url", "-i", "--extra-index-url", "--no-index", "--require-hashes"})
_LINKS: Final = frozenset({"--find-links", "-f"})
_WITHOUT_EFFECT: Final = frozenset({"--prefer-binary", "--only-binary", "--use-feature"})
_FILES: Final = frozenset({"--requirement", "-r", "--constraint", "-c"})
_SOURCES: Final = frozenset({"--editable", "-e"})


@dataclass(frozen=True)
class Requirements:
    """The lines to install, and uv's arguments for those that its requirements files do not know."""

    text: str
    arguments: tuple[str, ...] = ()


def checked(text: str) -> Requirements:
    """The lines of a requirements.txt; raises RequirementsInvalidError, WheelMissingError."""
    lines: list[str] = []
    arguments: list[str] = []
    for raw in _CONTINUED.sub("", text).splitlines():
        line = _COMMENT.sub("", raw).strip()
        if not line:
            continue
        if _VARIABLE.search(line):
            raise _invalid(line, "has a variable, and builds have none: write its value")
        if line.startswith("-"):
            _option(line, lines, arguments)
        else:
            lines.append(_requirement(line))
    return Requirements("".join(f"{line}\n" for line in lines), tuple(arguments))


def _option(line: str, lines: list[str], arguments: list[str]) -> None:
    found = _OPTION.fullmatch(line)
    option, value = found.groups() if found else (line, "")
    if option in _AS_THEY_ARE or (option in _LINKS and _WEB.match(value)):
        lines.append(line)
    elif option == "--pre":
        arguments.append("--prerelease=allow")
    elif option == "--trusted-host" and value:
        arguments.append(f"--allow-insecure-host={value}")
    elif option in _WITHOUT_EFFECT or (option, value) == ("--no-binary", ":none:"):
        return
    elif option == "--no-binary" or option in _SOURCES:
        raise _needs_build(line)
    elif option in _FILES or option in _LINKS:
        raise _invalid(
            line, "names a file of its own: write its lines out, or give its URL as pipRequirements"
        )
    else:
        raise _invalid(line, f"has an option that this builder does not know; {DOCKER}")


def _requirement(line: str) -> str:
    named = _NAMED.match(line)
    source = named["url"] if named else line.split(maxsplit=1)[0]
    if _OF_A_REQUIREMENT.search(line) or _VERSION_CONTROL.match(source or ""):
        raise _needs_build(line)
    if source is None and not _is_archive(line.split(maxsplit=1)[0]):
        return line
    if source is None or not _WEB.match(source):
        raise _invalid(line, "is no package's name; a file here must be the URL of a wheel")
    if not urlsplit(source).path.endswith(".whl"):
        raise _needs_build(line)
    return line


def _is_archive(name: str) -> bool:
    return name.lower().endswith(PACKAGES)


def _invalid(line: str, why: str) -> RequirementsInvalidError:
    return RequirementsInvalidError(f"pipRequirements: {redact_text(line)!r} {why}")


def _needs_build(line: str) -> WheelMissingError:
    return WheelMissingError(
        f"pipRequirements: {redact_text(line)!r} has to be built from source, which this builder cannot;"
        f" give a wheel, or {DOCKER}"
    )
