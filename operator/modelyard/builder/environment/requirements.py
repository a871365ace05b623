"""The lines of a requirements.txt that a builder can install.

Other lines are refused with the way out. Paths are refused because they would name files of the builder.
Requirements are parsed by `packaging`, as in pip itself. `packaging` does not parse options, so these have
the table below.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from modelyard.builder.environment.advice import USE_DOCKER_BUILDER
from modelyard.builder.environment.git_source import GitSource, is_git, parse_git
from modelyard.contract.build_request import CONDA_ENV_FILE, PIP_REQUIREMENTS
from modelyard.contract.errors import (
    RequirementsInvalidError,
    about,
)
from modelyard.contract.urls import PACKAGE_SUFFIXES, VERSION_CONTROL_URL
from modelyard.redaction import redact_text, split_url

_CONTINUATION: Final = re.compile(r"\\\r?\n")
_COMMENT: Final = re.compile(r"(?:^|(?<=\s))#.*$", re.MULTILINE)
_VARIABLE: Final = re.compile(r"\$\{\w+\}")
_OPTION: Final = re.compile(r"(--?[A-Za-z][A-Za-z-]*)(?:[=\s]\s*(\S+))?")
_FIRST_HASH: Final = re.compile(r"\s--hash[=\s]")
_HASHES: Final = re.compile(r"(?:\s+--hash[=\s]\s*\S+)+")
_OPTION_OF_LINE: Final = re.compile(r"\s-")
_HTTP_URL: Final = re.compile(r"https?://\S+", re.IGNORECASE)
_NAMED: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*@")
"""The name of a package before its URL."""

# Options of a requirements.txt: https://pip.pypa.io/en/stable/reference/requirements-file-format/.
_INDEX_OPTIONS: Final = ("--index-url", "-i")
_EXTRA_INDEX_OPTION: Final = "--extra-index-url"
_FIND_LINKS_OPTIONS: Final = ("--find-links", "-f")
_SWITCHES: Final = frozenset({"--no-index", "--require-hashes"})
_URL_OPTIONS: Final = frozenset({*_INDEX_OPTIONS, _EXTRA_INDEX_OPTION, *_FIND_LINKS_OPTIONS})
_WITHOUT_EFFECT: Final = frozenset({"--prefer-binary", "--use-feature"})
_NO_BINARY: Final = "--no-binary"
_FORMAT_OPTIONS: Final = frozenset({_NO_BINARY, "--only-binary"})
_UV_ARGUMENTS: Final = {"--pre": "--prerelease=allow", "--trusted-host": "--allow-insecure-host={}"}
_FILE_OPTIONS: Final = frozenset({"--requirement", "-r", "--constraint", "-c"})
_EDITABLE_OPTIONS: Final = frozenset({"--editable", "-e"})


@dataclass(frozen=True)
class Requirements:
    """The lines for uv's requirements file, and further options as arguments of uv."""

    text: str
    arguments: tuple[str, ...] = ()
    """Arguments of uv for options that uv does not read from a requirements file."""
    replaces_index: bool = False
    """True if a line names an index, which replaces the one of the pip.conf."""
    adds_indexes: bool = False
    """True if a line names a further index."""
    needs_sources: bool = False
    """True if a line can only be installed from a source distribution."""
    git: Mapping[str, GitSource] = field(default_factory=dict)
    """Line of `text` → its repository."""
    field: str = PIP_REQUIREMENTS
    """The field or fields with the lines, for messages."""

    @property
    def urls(self) -> list[str]:
        """Return the http(s) URLs in the lines: of indexes, lists of links and wheels."""
        return _HTTP_URL.findall(self.text)


def parse_requirements(text: str, conda_pip: Sequence[str] = ()) -> Requirements:
    """Parse a requirements.txt. `conda_pip` are the lines in it that stand in a condaEnvFile.

    Errors have the field of the line as their subject. Raises RequirementsInvalidError for a line that is
    invalid or names a file.
    """
    parsed = _Lines()
    of_conda = frozenset(_logical_lines("\n".join(conda_pip)))
    fields: set[str] = set()
    for line in _logical_lines(text):
        subject = CONDA_ENV_FILE if line in of_conda else PIP_REQUIREMENTS
        fields.add(subject)
        with about(subject):
            parsed.add(line)
    lines = parsed.lines
    return Requirements(
        "".join(f"{line}\n" for line in lines),
        tuple(parsed.arguments),
        replaces_index=any(line.startswith(_INDEX_OPTIONS) for line in lines),
        adds_indexes=any(line.startswith(_EXTRA_INDEX_OPTION) for line in lines),
        needs_sources=parsed.needs_sources,
        git=parsed.git,
        field=" and ".join(sorted(fields)) or PIP_REQUIREMENTS,
    )


def _logical_lines(text: str) -> list[str]:
    """Return the lines without comments and empty lines, and with continued lines in one."""
    lines = map(str.strip, _CONTINUATION.sub("", _COMMENT.sub("", text)).splitlines())
    return [line for line in lines if line]


class _Lines:
    """The lines of Requirements, while they are parsed."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.arguments: list[str] = []
        self.git: dict[str, GitSource] = {}
        self.needs_sources = False

    def add(self, line: str) -> None:
        """Append a line to the lines or to the arguments of uv, or raise."""
        if _VARIABLE.search(line):
            raise _invalid(line, "contains a variable, and builds define none: write its value")
        if line.startswith("-"):
            self._add_option(line)
        else:
            self._add_requirement(line)

    def _add_option(self, line: str) -> None:
        match = _OPTION.fullmatch(line)
        if match is None:
            raise _invalid(line, "is not one option with its value: write each option on its own line")
        option, value = match[1], match[2] or ""
        if option in _SWITCHES:
            self.lines.append(line)
        elif option in _URL_OPTIONS:
            self._add_url_option(line, value)
        elif option in _FORMAT_OPTIONS:
            self.lines += [f"{option} {name}" for name in value.split(",") if name]
            self.needs_sources |= option == _NO_BINARY and value != ":none:"
        elif option in _UV_ARGUMENTS:
            self.arguments.append(_UV_ARGUMENTS[option].format(value))
        elif option in _EDITABLE_OPTIONS:
            self._add_editable(line, value)
        elif option in _FILE_OPTIONS:
            raise _invalid(
                line, "names a file: copy its lines to this place, or set pipRequirements to its URL"
            )
        elif option not in _WITHOUT_EFFECT:
            raise _unknown_option(line)

    def _add_url_option(self, line: str, value: str) -> None:
        if not _HTTP_URL.match(value):
            raise _invalid(line, "needs an http(s) URL as its value")
        self.lines.append(line)

    def _add_editable(self, line: str, value: str) -> None:
        """Append the requirement of an editable package. An image has no folder of sources to edit."""
        if not _is_remote(value):
            raise _invalid(
                line,
                "names a folder of another machine: require a version of the package, or the URL of a source",
            )
        self._add_requirement(value)

    def _add_requirement(self, line: str) -> None:
        """Append a package of an index, or of the URL of a wheel, a source distribution or a repository."""
        requirement = _without_hashes(line)
        if _OPTION_OF_LINE.search(requirement):
            raise _unknown_option(line)
        url = _url_of(requirement, line)
        if url is not None:
            self._add_url(line, requirement, url)
        self.lines.append(line)

    def _add_url(self, line: str, requirement: str, url: str) -> None:
        if is_git(url):
            self.git[line] = parse_git(requirement, url)
            self.needs_sources = True
            return
        if VERSION_CONTROL_URL.match(url):
            raise _invalid(line, f"needs a program that this builder does not have: {USE_DOCKER_BUILDER}")
        if not _HTTP_URL.match(url):
            raise _names_file(line)
        parts = split_url(url)
        if parts is None:
            raise _invalid(line, "has an invalid URL: correct the URL")
        if not parts.path.lower().endswith(PACKAGE_SUFFIXES):
            raise _invalid(line, f"has a URL whose path ends in none of {', '.join(PACKAGE_SUFFIXES)}")
        self.needs_sources |= not parts.path.endswith(".whl")


def _is_remote(url: str) -> bool:
    return bool(_HTTP_URL.match(url) or VERSION_CONTROL_URL.match(url))


def _names_file(line: str) -> RequirementsInvalidError:
    """Return the error of a line with a path, which `pip freeze` writes for packages of conda and wheels."""
    package = _NAMED.match(line)
    if package is None:
        return _invalid(line, "names a file, which builds do not have: give the http(s) URL of a package")
    return _invalid(
        line,
        "names a file of the machine that wrote the line. Write a version, such as"
        f" {package[1]}==1.0, or the http(s) URL of a wheel. `pip list --format=freeze` prints versions",
    )


def _without_hashes(line: str) -> str:
    """Return the line without the options `--hash` at its end."""
    first = _FIRST_HASH.search(line)
    if first and _HASHES.fullmatch(line, first.start()):
        return line[: first.start()].rstrip()
    return line


def _url_of(requirement: str, line: str) -> str | None:
    """Return the URL or path that a requirement is installed from, None for a package of an index."""
    # Imported here, since the import takes a tenth of a builder's start, and a cached environment needs none.
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415

    first = requirement.split(maxsplit=1)[0]
    if _is_remote(first):
        return first  # pip and uv accept a URL without a name, which is no requirement by PEP 508
    try:
        parsed = Requirement(requirement)
    except (InvalidRequirement, ValueError, RecursionError) as error:
        reason = redact_text(str(error).partition("\n")[0])
        raise _invalid(line, f"is neither a requirement nor the http(s) URL of a wheel: {reason}") from None
    if parsed.url is None and parsed.name.lower().endswith(PACKAGE_SUFFIXES):
        return parsed.name  # a file name such as a-1-py3-none-any.whl is a valid name, too
    return parsed.url


def _invalid(line: str, reason: str) -> RequirementsInvalidError:
    return RequirementsInvalidError(f"{redact_text(line)!r} {reason}")


def _unknown_option(line: str) -> RequirementsInvalidError:
    return _invalid(line, f"has an option that this builder does not support: {USE_DOCKER_BUILDER}")
