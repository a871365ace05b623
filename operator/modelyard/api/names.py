"""Names, ids and references: `name` follows the newest version, `name:version` stays at one."""

from __future__ import annotations

import re
from typing import Annotated, Final, NamedTuple

from pydantic import Field, StringConstraints

from modelyard.api.rules import Rule

GROUP: Final = "modelyard.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
CATEGORY: Final = "modelyard"

# A label value and a Service's name end at 63 characters (RFC 1123, RFC 1035); both are derived from it.
MAX_NAME: Final = 63
MAX_OBJECT_NAME: Final = 253  # of any object of Kubernetes
MAX_FILE_NAME: Final = 255  # bytes, on every common file system
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_OBJECT_NAME: Final = re.compile(f"^{_SUBDOMAIN}$")
_REFERENCE: Final = re.compile(f"^{_SUBDOMAIN}(:[1-9][0-9]{{0,8}})?$")
_DNS_LABEL: Final = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
_NOT_IN_FILE_NAMES: Final = re.compile(r"[\x00-\x1f\x7f/]")

REGISTRATION: Final = f"{GROUP}/registration"  # annotation: any new value registers the same content again


class VersionReference(NamedTuple):
    """A parsed reference; `version` None follows the newest."""

    name: str
    version: int | None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}:{self.version}"


def parse_version_reference(text: str) -> VersionReference:
    """`name` or `name:version`, already validated, into its parts."""
    name, _, version = text.partition(":")
    return VersionReference(name, int(version) if version else None)


def _reference_rule(field: str) -> Rule:
    return Rule(
        cel=f"self.matches(r'{_REFERENCE.pattern}') && size(self.split(':')[0]) <= {MAX_NAME}",
        message=f"{field} must be the metadata.name of an object (at most {MAX_NAME} characters), or "
        "name:version, such as diabetes or diabetes:1",
        holds=lambda text: (
            bool(_REFERENCE.fullmatch(text)) and len(parse_version_reference(text).name) <= MAX_NAME
        ),
    )


_LENGTH: Final = StringConstraints(min_length=1, max_length=MAX_NAME + 10)
ModelRef = Annotated[str, _LENGTH, _reference_rule("modelIds")]
ManifestRef = Annotated[str, _LENGTH, _reference_rule("manifestId")]
ImageRef = Annotated[str, _LENGTH, _reference_rule("imageId")]


def is_object_name(text: str) -> bool:
    """Whether Kubernetes takes a text as the name of an object."""
    return bool(_OBJECT_NAME.fullmatch(text)) and len(text) <= MAX_OBJECT_NAME


def object_name_rule(field: str) -> Rule:
    """The field names an object of Kubernetes."""
    return Rule(
        cel=f"self.matches(r'{_OBJECT_NAME.pattern}')",
        message=f"{field} must be the name of an object: a-z, 0-9, - and ., a letter or digit at both ends",
        holds=is_object_name,
    )


def is_file_name(text: str) -> bool:
    """Whether a text can be one segment of a path."""
    return (
        not _NOT_IN_FILE_NAMES.search(text)
        and text not in {".", ".."}
        and len(text.encode()) <= MAX_FILE_NAME
    )


def file_name_rule(field: str) -> Rule:
    """The field becomes a file or a folder in the image."""
    return Rule(
        cel=f"!self.matches(r'{_NOT_IN_FILE_NAMES.pattern}') && self != '.' && self != '..'"
        f" && size(bytes(self)) <= {MAX_FILE_NAME}",
        message=f"{field} becomes a file or folder in the image: it must not contain / or control "
        f"characters, be . or .., or have more than {MAX_FILE_NAME} bytes",
        holds=is_file_name,
    )


DisplayName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255),
    file_name_rule("name"),
    Field(examples=["Model_1.pkl"]),
]

NAME_RULE: Final = Rule(
    cel=f"size(self.metadata.name) <= {MAX_NAME}",
    message=f"metadata.name must have at most {MAX_NAME} characters: labels and tags are derived from it; "
    "spec.name may be longer",
    holds=lambda resource: len(resource.metadata.name) <= MAX_NAME,
    field=".metadata.name",
)
SERVICE_NAME_RULE: Final = Rule(
    cel=f"self.metadata.name.matches(r'{_DNS_LABEL.pattern}')",
    message="metadata.name becomes a DNS name: it must start with a letter and have only a-z, 0-9 and -, "
    "without a dot",
    holds=lambda resource: bool(_DNS_LABEL.fullmatch(resource.metadata.name)),
    field=".metadata.name",
)
