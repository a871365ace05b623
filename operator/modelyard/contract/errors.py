"""Errors of a build. Their codes are stable: users, tests and dashboards rely on them.

Errors of the registry have a tree of their own, in modelyard.oci.errors; CodedError is the base of both.

BuildFailedError
├── RequestInvalidError
├── SourceError
│   ├── SourceInvalidError
│   ├── SourceNotFoundError
│   ├── SourceForbiddenError
│   ├── SourceDeniedError
│   ├── SourceRefusedError
│   ├── SourceUnavailableError          transient
│   │   └── SourceChangedError
│   ├── SourceTooLargeError
│   └── DigestMismatchError
├── ArchiveError
│   ├── NotAnArchiveError
│   ├── UnsafeArchiveError
│   └── ArchiveTooLargeError
├── AssetConflictError
├── DiskFullError
├── SigningKeyInvalidError
├── EngineError
│   ├── EngineUnavailableError          transient
│   ├── BaseImageNotFoundError
│   ├── BaseImageUnfitError
│   └── BuildStepFailedError
└── PackageError
    ├── RequirementsInvalidError
    ├── RequirementsConflictError
    ├── PackageNotFoundError
    ├── WheelMissingError
    ├── PackageIndexUnavailableError    transient
    ├── PackageIndexForbiddenError
    ├── PackageIndexUntrustedError
    ├── PipFailedError
    ├── CondaFileInvalidError
    ├── CondaFailedError
    └── PythonVersionConflictError
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from modelyard.coded_error import CodedError
from modelyard.contract.build_request import Step


class BuildFailedError(CodedError):
    """A failure of a build."""

    code = "BuildFailed"


class RequestInvalidError(BuildFailedError):
    """The request contradicts itself: its driver is none of its assets, say."""

    code = "RequestInvalid"


class SourceError(BuildFailedError):
    """A model or an asset could not be fetched."""

    step = Step.FETCH


class SourceInvalidError(SourceError):
    """The URL, its digest or its credentials are not usable as they are written."""

    code = "SourceInvalid"


class SourceNotFoundError(SourceError):
    """Nothing is there."""

    code = "SourceNotFound"


class SourceForbiddenError(SourceError):
    """It asks for credentials, or for others."""

    code = "SourceForbidden"


class SourceDeniedError(SourceError):
    """Whoever runs this cluster does not allow it."""

    code = "SourceDenied"


class SourceRefusedError(SourceError):
    """It answers, but with something that trying again does not mend."""

    code = "SourceRefused"


class SourceUnavailableError(SourceError):
    """It does not answer, or says that it is overloaded."""

    code = "SourceUnavailable"
    transient = True


class SourceChangedError(SourceUnavailableError):
    """It changed while it was fetched."""


class SourceTooLargeError(SourceError):
    """More bytes than the limits of a build allow."""

    code = "SourceTooLarge"


class DigestMismatchError(SourceError):
    """The bytes are not those that the digest promises."""

    code = "DigestMismatch"


class ArchiveError(BuildFailedError):
    """A model or an asset could not be unpacked."""

    step = Step.UNPACK


class NotAnArchiveError(ArchiveError):
    """Neither zip nor tar, or a damaged one."""

    code = "NotAnArchive"


class UnsafeArchiveError(ArchiveError):
    """An entry reaches outside, or is neither a file, a folder nor a harmless link."""

    code = "UnsafeArchive"


class ArchiveTooLargeError(ArchiveError):
    """More bytes or files than the limits of a build allow."""

    code = "ArchiveTooLarge"


class AssetConflictError(BuildFailedError):
    """Two assets want the same path in the image."""

    code = "AssetConflict"


class DiskFullError(BuildFailedError):
    """The workspace or the engine has no room."""

    code = "DiskFull"


class SigningKeyInvalidError(BuildFailedError):
    """The Secret with the key that signs images has none that can be used."""

    code = "SigningKeyInvalid"


class EngineError(BuildFailedError):
    """The image could not be built."""


class EngineUnavailableError(EngineError):
    """The Docker engine does not answer."""

    code = "EngineUnavailable"
    transient = True


class BaseImageNotFoundError(EngineError):
    """The base image is not there, or the engine may not pull it."""

    code = "BaseImageNotFound"


class BaseImageUnfitError(EngineError):
    """The base image has another Python than it is listed for, or is for a platform that is not served."""

    code = "BaseImageUnfit"


class BuildStepFailedError(EngineError):
    """Any other step of the image's build failed."""

    code = "BuildStepFailed"


class PackageError(BuildFailedError):
    """The requirements could not be installed."""

    step = Step.BUILD


class RequirementsInvalidError(PackageError):
    """A line is no requirement, or one that the builder may not follow."""

    code = "RequirementsInvalid"


class RequirementsConflictError(PackageError):
    """No set of versions satisfies all of them."""

    code = "RequirementsConflict"


class PackageNotFoundError(PackageError):
    """The index does not know a package, or not the version."""

    code = "PackageNotFound"


class WheelMissingError(PackageError):
    """A package would have to be built, which needs another builder."""

    code = "WheelMissing"


class PackageIndexUnavailableError(PackageError):
    """The package index does not answer, or says that it is overloaded."""

    code = "PackageIndexUnavailable"
    transient = True


class PackageIndexForbiddenError(PackageError):
    """The package index asks for credentials, or for others."""

    code = "PackageIndexForbidden"


class PackageIndexUntrustedError(PackageError):
    """The package index has a certificate of an authority that builds do not know."""

    code = "PackageIndexUntrusted"


class PipFailedError(PackageError):
    """They could not be installed for another reason."""

    code = "PipFailed"


class CondaFileInvalidError(PackageError):
    """The environment file is none, or asks for what no build does."""

    code = "CondaFileInvalid"


class CondaFailedError(PackageError):
    """No packages satisfy the environment file, or one of them cannot be had."""

    code = "CondaFailed"


class PythonVersionConflictError(PackageError):
    """Two places ask for different Pythons."""

    code = "PythonVersionConflict"


@contextmanager
def about(subject: str, step: Step | None = None) -> Iterator[None]:
    """Set the subject of a CodedError raised inside the block, a model for example, and its step if given.

    An error that has a subject already keeps it, so that the innermost block decides.
    """
    try:
        yield
    except CodedError as error:
        error.subject = error.subject or subject
        error.step = step or error.step
        raise
