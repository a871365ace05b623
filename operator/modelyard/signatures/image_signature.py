"""Check of an image in the registry: the platform signed that it was built from given inputs.

The signature of cosign (`cosign verify`) covers the digest only. So a genuine image of other inputs could be
tagged with the hash of these inputs. The signed provenance has the hash, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modelyard.oci import Descriptor, RegistryClient
from modelyard.oci.errors import RegistryNotFoundError, RegistryRefusedError, RegistryTooLargeError
from modelyard.oci.reference import Reference
from modelyard.signatures.envelope import (
    BUNDLE_TYPE,
    PREDICATE_ANNOTATION,
    PROVENANCE_TYPE,
    Verifier,
    verified_statement,
)

MAX_BUNDLES: Final = 20
"""Bundles of one image that are read: anybody who may push can attach any number."""


def is_signed(registry: RegistryClient, image: Reference, digest: str, verifier: Verifier) -> bool:
    """Return whether an image has a signed provenance with its digest, its path and its tag as input hash.

    `image` is the reference with the tag. The host of the registry does not count, because a registry may
    move. Raises RegistryError if the registry does not answer.
    """
    found = registry.referrers(image, digest, BUNDLE_TYPE)
    bundles = [item for item in found if _may_be_provenance(item)][:MAX_BUNDLES]
    return any(_proves(registry, image, digest, item, verifier) for item in bundles)


def _may_be_provenance(item: Descriptor) -> bool:
    annotations: Mapping[str, str] = item.get("annotations") or {}
    return annotations.get(PREDICATE_ANNOTATION, PROVENANCE_TYPE) == PROVENANCE_TYPE


def _proves(
    registry: RegistryClient, image: Reference, digest: str, item: Descriptor, verifier: Verifier
) -> bool:
    try:
        manifest, _ = registry.manifest(image.at(item["digest"]))
        bundle = registry.blob_bytes(image, manifest["layers"][0]["digest"])
        statement = verified_statement(bundle, verifier)
        return statement is not None and _is_about(statement, image, digest)
    except (RegistryNotFoundError, RegistryRefusedError, RegistryTooLargeError):
        return False
    except (KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return False


def _is_about(statement: dict[str, Any], image: Reference, digest: str) -> bool:
    parameters = statement["predicate"]["buildDefinition"]["internalParameters"]
    return (
        statement["predicateType"] == PROVENANCE_TYPE
        and parameters["inputHash"] == image.tag
        and any(_is_subject(subject, image, digest) for subject in statement["subject"])
    )


def _is_subject(subject: dict[str, Any], image: Reference, digest: str) -> bool:
    path = str(subject["name"]).partition("/")[2]
    return path == image.repository and f"sha256:{subject['digest']['sha256']}" == digest
