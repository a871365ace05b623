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
    ├── CondaPackageUnsafeError
    ├── InstallerKilledError
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
    """The build request contradicts itself, for example names a driver that is not among its assets."""

    code = "RequestInvalid"


class SourceError(BuildFailedError):
    """The download of a model, an asset, or a file of requirements failed."""

    step = Step.FETCH


class SourceInvalidError(SourceError):
    """The URL, its digest or its credentials have a form that no download can use."""

    code = "SourceInvalid"


class SourceNotFoundError(SourceError):
    """The server, store, registry or volume has no file at the URL."""

    code = "SourceNotFound"


class SourceForbiddenError(SourceError):
    """The server, store or registry demands credentials, or rejects those of the source."""

    code = "SourceForbidden"


class SourceDeniedError(SourceError):
    """The egress policy of the cluster forbids the scheme or the address of the URL."""

    code = "SourceDenied"


class SourceRefusedError(SourceError):
    """The server answers with an error, or with a file, that a retry cannot change."""

    code = "SourceRefused"


class SourceUnavailableError(SourceError):
    """The server, store or registry does not answer, or is overloaded."""

    code = "SourceUnavailable"
    transient = True


class SourceChangedError(SourceUnavailableError):
    """The file at the URL changed during the download."""


class SourceTooLargeError(SourceError):
    """The downloads of the build have more bytes than its limits allow."""

    code = "SourceTooLarge"


class DigestMismatchError(SourceError):
    """The bytes of a file do not have the digest that the source or the registry declares."""

    code = "DigestMismatch"


class ArchiveError(BuildFailedError):
    """The archive of a model or an asset cannot be unpacked."""

    step = Step.UNPACK


class NotAnArchiveError(ArchiveError):
    """The file is neither a zip nor a tar, or is damaged."""

    code = "NotAnArchive"


class UnsafeArchiveError(ArchiveError):
    """An entry has a path outside the archive, or is a device, a pipe, or a link to a path outside."""

    code = "UnsafeArchive"


class ArchiveTooLargeError(ArchiveError):
    """The archives of the build have more bytes or files than its limits allow."""

    code = "ArchiveTooLarge"


class AssetConflictError(BuildFailedError):
    """Two assets, or two models, have the same path in the image."""

    code = "AssetConflict"


class DiskFullError(BuildFailedError):
    """The disk of the workspace or of the Docker engine is full."""

    code = "DiskFull"


class SigningKeyInvalidError(BuildFailedError):
    """The Secret for signatures of images has no usable key."""

    code = "SigningKeyInvalid"


class EngineError(BuildFailedError):
    """The Docker engine could not build the image, or the base image is unfit."""


class EngineUnavailableError(EngineError):
    """The Docker engine does not answer."""

    code = "EngineUnavailable"
    transient = True


class BaseImageNotFoundError(EngineError):
    """The base image does not exist, or the engine is not authorized to pull it."""

    code = "BaseImageNotFound"


class BaseImageUnfitError(EngineError):
    """The base image has another Python version than the settings declare, or the wrong platform."""

    code = "BaseImageUnfit"


class BuildStepFailedError(EngineError):
    """Another step of the image's build failed."""

    code = "BuildStepFailed"


class PackageError(BuildFailedError):
    """The installation of the pip requirements or of the conda environment failed."""

    step = Step.BUILD


class RequirementsInvalidError(PackageError):
    """A line is not a requirement, or is one that the builder does not permit."""

    code = "RequirementsInvalid"


class RequirementsConflictError(PackageError):
    """No set of versions satisfies all requirements."""

    code = "RequirementsConflict"


class PackageNotFoundError(PackageError):
    """The package index has no such package, or no such version."""

    code = "PackageNotFound"


class WheelMissingError(PackageError):
    """A package has neither a wheel for the image nor a source distribution."""

    code = "WheelMissing"


class SourceBuildFailedError(PackageError):
    """The build of a source distribution failed, or exceeded its limits."""

    code = "SourceBuildFailed"


class PackageIndexUnavailableError(PackageError):
    """The package index does not answer, or is overloaded."""

    code = "PackageIndexUnavailable"
    transient = True


class PackageIndexForbiddenError(PackageError):
    """The package index demands credentials, or rejects those of the request."""

    code = "PackageIndexForbidden"


class PackageIndexUntrustedError(PackageError):
    """The certificate of the package index is from an authority that builds do not trust."""

    code = "PackageIndexUntrusted"


class PipFailedError(PackageError):
    """The installation of the requirements failed for another reason."""

    code = "PipFailed"


class CondaFileInvalidError(PackageError):
    """The conda environment file is malformed, or has an entry that no build supports."""

    code = "CondaFileInvalid"


class CondaFailedError(PackageError):
    """No packages satisfy the environment file, or a package cannot be downloaded."""

    code = "CondaFailed"


class CondaPackageUnsafeError(PackageError):
    """A conda package has a link or a path that leads outside, a pipe, or damaged metadata."""

    code = "CondaPackageUnsafe"


class InstallerKilledError(PackageError):
    """The process that installs the packages ended without a result."""

    code = "InstallerKilled"


class PythonVersionConflictError(PackageError):
    """Two fields, or a field and the environment file, demand different Python versions."""

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
