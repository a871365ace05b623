"""Where a model or an asset comes from."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from modelyard.api.base import ApiType, Boolean
from modelyard.api.names import MAX_OBJECT_NAME, object_name_rule
from modelyard.api.rules import Rule

SCHEMES: Final = ("http://", "https://", "oci://", "s3://", "gs://", "abfs://", "abfss://", "pvc://", "data:")
# An object, its record and the build request each carry the text: etcd takes 1.5 MiB, a Secret 1 MiB.
MAX_INLINE: Final = 512 * 1024
_DIGEST: Final = re.compile(r"^sha256:[0-9a-f]{64}$")

Url = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_INLINE),
    Rule(
        cel=" || ".join(f"self.startsWith('{scheme}')" for scheme in SCHEMES),
        message=f"url must start with one of {' '.join(SCHEMES)}",
        holds=lambda url: url.startswith(SCHEMES),
    ),
    Rule(
        cel="!self.endsWith('://')",
        message="url must say where the file is, after its scheme",
        holds=lambda url: not url.endswith("://"),
    ),
]
Digest = Annotated[
    str,
    StringConstraints(max_length=71),
    Rule(
        cel=f"self.matches(r'{_DIGEST.pattern}')",
        message="digest must be sha256: and 64 hexadecimal digits in lower case",
        holds=lambda digest: bool(_DIGEST.fullmatch(digest)),
    ),
]


class SecretReference(ApiType):
    """A Secret of the same namespace."""

    name: Annotated[
        str, StringConstraints(min_length=1, max_length=MAX_OBJECT_NAME), object_name_rule("secretRef.name")
    ]
    """Name of the Secret."""


MimeType = Annotated[str, Field(min_length=1, max_length=255)]


class Download(ApiType):
    """How a file at a url is fetched; whether it must have a url says each kind."""

    unpack: Boolean = False
    """Unpack the file (zip, tar, tar.gz, tar.bz2, tar.xz) while the image is built; an asset's files go into
    the driver's folder."""
    digest: Digest | None = None
    """sha256 that the downloaded file must have, as sha256:<64 hexadecimal digits>; the build fails when it
    has another."""
    secret_ref: SecretReference | None = None
    """Secret of the same namespace with the credentials for the url: username and password, or token, or the
    keys of the store (docs/sources.md)."""
