"""Sources of models and assets: URL, digest and credentials."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from modelyard.api.base import ApiType, Boolean
from modelyard.api.names import MAX_OBJECT_NAME, object_name_rule
from modelyard.api.rules import Rule

SCHEMES: Final = ("http://", "https://", "oci://", "s3://", "gs://", "abfs://", "abfss://", "pvc://", "data:")
# Characters. The object, its ControllerRevision and the build request contain the text: an object in etcd has
# at most 1.5 MiB, a Secret 1 MiB.
MAX_INLINE: Final = 512 * 1024
_DIGEST: Final = re.compile(r"^sha256:[0-9a-f]{64}$")

Url = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_INLINE),
    Rule(
        cel=" || ".join(f"self.startsWith('{scheme}')" for scheme in SCHEMES),
        message=f"url must start with one of {' '.join(SCHEMES)}",
        is_valid=lambda url: url.startswith(SCHEMES),
    ),
    Rule(
        cel="!self.endsWith('://')",
        message="url must name the location of the file after the scheme, such as https://example.com/model.pkl",
        is_valid=lambda url: not url.endswith("://"),
    ),
]
Digest = Annotated[
    str,
    StringConstraints(max_length=71),
    Rule(
        cel=f"self.matches(r'{_DIGEST.pattern}')",
        message="digest must be sha256: followed by 64 hexadecimal digits in lower case",
        is_valid=lambda digest: bool(_DIGEST.fullmatch(digest)),
    ),
]


class SecretReference(ApiType):
    """A reference to a Secret in the namespace of the object."""

    name: Annotated[
        str, StringConstraints(min_length=1, max_length=MAX_OBJECT_NAME), object_name_rule("secretRef.name")
    ]
    """Name of the Secret."""


MimeType = Annotated[str, Field(min_length=1, max_length=255)]


_IDENTITY_SCHEMES: Final = ("s3://", "gs://", "abfs://", "abfss://")

IDENTITY_RULES: Final = (
    Rule(
        cel="!has(self.secretRef) || !has(self.serviceAccountName)",
        message="set secretRef or serviceAccountName, not both: a download has one identity",
        is_valid=lambda source: source.secret_ref is None or source.service_account_name is None,
        field=".serviceAccountName",
    ),
    Rule(
        cel="!has(self.serviceAccountName) || (has(self.url) && ("
        + " || ".join(f"self.url.startsWith('{scheme}')" for scheme in _IDENTITY_SCHEMES)
        + "))",
        message=f"serviceAccountName is only allowed together with a url of {' '.join(_IDENTITY_SCHEMES)}",
        is_valid=lambda source: (
            source.service_account_name is None or (source.url or "").startswith(_IDENTITY_SCHEMES)
        ),
        field=".serviceAccountName",
    ),
)
"""Rules of each subclass of Download."""


class Download(ApiType):
    """How the build downloads the file at a url. Each subclass declares whether url is required."""

    unpack: Boolean = False
    """If true, the build unpacks the file (zip, tar, tar.gz, tar.bz2 or tar.xz). The files of an asset are
    unpacked into the folder of the driver. Default: false."""
    digest: Digest | None = None
    """Digest that the downloaded file must have, as sha256:<64 hexadecimal digits>. The build fails if the
    file has a different digest."""
    secret_ref: SecretReference | None = None
    """Secret in the namespace of the object with the credentials for the url. The Secret has the label
    `modelyard.dev/source: "true"`. Its keys are username and password, or token, or those of the object store
    (docs/sources.md)."""
    service_account_name: (
        Annotated[
            str,
            StringConstraints(min_length=1, max_length=MAX_OBJECT_NAME),
            object_name_rule("serviceAccountName"),
        ]
        | None
    ) = None
    """ServiceAccount in the namespace of the object, with the label `modelyard.dev/source: "true"` and the
    annotations of a cloud. The build downloads the object at the url with the cloud identity of the
    ServiceAccount, in place of a Secret (docs/sources.md)."""
