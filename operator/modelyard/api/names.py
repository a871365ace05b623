"""Names, ids and references of versions.

The reference `name` follows the newest version, `name:version` pins one version.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, NamedTuple

from pydantic import Field, StringConstraints

from modelyard.api.rules import Rule

GROUP: Final = "modelyard.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
CATEGORY: Final = "modelyard"

# Characters of metadata.name. Label values (RFC 1123) and names of core Services (RFC 1035), which contain
# metadata.name, have at most 63.
MAX_NAME: Final = 63
MAX_OBJECT_NAME: Final = 253  # characters of the name of any Kubernetes object
MAX_FILE_NAME: Final = 255  # bytes of a file name on every common file system
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_OBJECT_NAME: Final = re.compile(f"^{_SUBDOMAIN}$")
_REFERENCE: Final = re.compile(f"^{_SUBDOMAIN}(:[1-9][0-9]{{0,8}})?$")
_DNS_LABEL: Final = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
_FORBIDDEN_IN_FILE_NAMES: Final = re.compile(r"[\x00-\x1f\x7f/]")

REGISTRATION: Final = f"{GROUP}/registration"  # annotation: a new value registers the same content again
SOURCE: Final = f"{GROUP}/source"  # label: "true" allows the use of a Secret for downloads
ROLL_ON_UPGRADE: Final = f"{GROUP}/roll-on-upgrade"  # on a Service: "true" or "false", before the chart value


class VersionReference(NamedTuple):
    """A parsed reference to a version. If `version` is None, the reference follows the newest version."""

    name: str
    version: int | None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}:{self.version}"


def parse_version_reference(text: str) -> VersionReference:
    """Parse a validated `name` or `name:version`."""
    name, _, version = text.partition(":")
    return VersionReference(name, int(version) if version else None)


def is_version_reference(text: str) -> bool:
    """Return whether a text is `name` or `name:version`."""
    return bool(_REFERENCE.fullmatch(text)) and len(parse_version_reference(text).name) <= MAX_NAME


def _reference_rule(field: str) -> Rule:
    return Rule(
        cel=f"self.matches(r'{_REFERENCE.pattern}') && size(self.split(':')[0]) <= {MAX_NAME}",
        message=f"{field} must be the metadata.name of an object (at most {MAX_NAME} characters), or "
        "name:version, such as diabetes or diabetes:1",
        is_valid=is_version_reference,
    )


_LENGTH: Final = StringConstraints(min_length=1, max_length=MAX_NAME + 10)
ModelRef = Annotated[str, _LENGTH, _reference_rule("modelIds")]
ManifestRef = Annotated[str, _LENGTH, _reference_rule("manifestId")]
ImageRef = Annotated[str, _LENGTH, _reference_rule("imageId")]


def is_object_name(text: str) -> bool:
    """Return whether Kubernetes accepts a text as the name of an object."""
    return bool(_OBJECT_NAME.fullmatch(text)) and len(text) <= MAX_OBJECT_NAME


def object_name_rule(field: str) -> Rule:
    """Return the rule of a field that names a Kubernetes object."""
    return Rule(
        cel=f"self.matches(r'{_OBJECT_NAME.pattern}')",
        message=f"{field} must be the name of an object: a-z, 0-9, - and ., with a letter or digit at both "
        "ends",
        is_valid=is_object_name,
    )


def is_file_name(text: str) -> bool:
    """Return whether a text can be one segment of a path."""
    return (
        not _FORBIDDEN_IN_FILE_NAMES.search(text)
        and text not in {".", ".."}
        and len(text.encode()) <= MAX_FILE_NAME
    )


def file_name_rule(field: str) -> Rule:
    """Return the rule of a field whose value is the name of a file or folder in the image."""
    return Rule(
        cel=f"!self.matches(r'{_FORBIDDEN_IN_FILE_NAMES.pattern}') && self != '.' && self != '..'"
        f" && size(bytes(self)) <= {MAX_FILE_NAME}",
        message=f"{field} names a file or folder in the image: the name must not contain / or "
        f"control characters, be . or .., or have more than {MAX_FILE_NAME} bytes",
        is_valid=is_file_name,
    )


DisplayName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255),
    file_name_rule("name"),
    Field(examples=["Model_1.pkl"]),
]

NAME_RULE: Final = Rule(
    cel=f"size(self.metadata.name) <= {MAX_NAME}",
    message=f"metadata.name must have at most {MAX_NAME} characters, because labels and image tags contain "
    "the name; put a longer name into spec.name",
    is_valid=lambda resource: len(resource.metadata.name) <= MAX_NAME,
    field=".metadata.name",
)
SERVICE_NAME_RULE: Final = Rule(
    cel=f"self.metadata.name.matches(r'{_DNS_LABEL.pattern}')",
    message="metadata.name of a Service becomes a DNS name: the name must start with a letter and contain "
    "only a-z, 0-9 and -, without a dot",
    is_valid=lambda resource: bool(_DNS_LABEL.fullmatch(resource.metadata.name)),
    field=".metadata.name",
)
