"""Errors of the registry client. Their codes are stable: users, tests and dashboards rely on them.

RegistryError
├── RegistryUnavailableError        transient
├── RegistryForbiddenError
├── RegistryNotFoundError
├── RegistryTooLargeError
└── RegistryRefusedError
    ├── RegistryUnsupportedError
    └── RegistryRangeError
ReferenceInvalidError
BlobDigestMismatchError
"""

from __future__ import annotations

from modelyard.coded_error import CodedError


class RegistryError(CodedError):
    """The registry did not do what the client requested."""


class RegistryUnavailableError(RegistryError):
    """The registry does not respond, or responds that it is overloaded."""

    code = "RegistryUnavailable"
    transient = True


class RegistryForbiddenError(RegistryError):
    """The registry requires credentials, or other credentials than those configured."""

    code = "RegistryForbidden"


class RegistryNotFoundError(RegistryError):
    """The registry has no such manifest or blob."""

    code = "RegistryNotFound"


class RegistryTooLargeError(RegistryError):
    """The registry, or a proxy in front of the registry, does not accept a request of this size."""

    code = "RegistryTooLarge"


class RegistryRefusedError(RegistryError):
    """The registry responds with an error that another attempt does not change."""

    code = "RegistryRefused"


class RegistryUnsupportedError(RegistryRefusedError):
    """The registry does not offer the operation, or has it disabled."""

    code = "RegistryUnsupported"


class RegistryRangeError(RegistryRefusedError):
    """The registry has more or fewer bytes of an upload than the request says.

    https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-a-blob-in-chunks
    """


class ReferenceInvalidError(CodedError):
    """A text is not the name of an image."""

    code = "RequestInvalid"


class BlobDigestMismatchError(CodedError):
    """The bytes of a blob do not have the digest that the caller requires."""

    code = "DigestMismatch"
