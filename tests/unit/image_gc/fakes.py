"""A registry and a cluster's usage of images, both in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Final

from modelyard.api import labels
from modelyard.api.owners import Owner
from modelyard.image_gc.cluster_usage import UnusedSince
from modelyard.image_gc.repository import ImageRepositories
from modelyard.image_gc.usage import Usage, UsageBuilder
from modelyard.kube.types import PODS, REVISIONS, Json
from modelyard.oci.errors import RegistryForbiddenError
from modelyard.oci.media_types import OCI_INDEX
from modelyard.oci.reference import (
    Reference,
    parse_reference,
)
from modelyard.resources.revision import controller_revision

HOST: Final = "registry.example.com"
PREFIX: Final = "modelyard"
OCI: Final = "application/vnd.oci.image.manifest.v1+json"


class FakeGcRegistry:
    """A GcRegistry with the manifests and tags that a test pushes."""

    def __init__(self) -> None:
        self.manifests: dict[tuple[str, str], bytes] = {}  # repository and digest → manifest
        self.tagged: dict[tuple[str, str], str] = {}  # repository and tag → digest
        self.lists = True  # the catalog of repositories
        self.deletes = True  # manifests
        self.deletes_tags = True

    def push_index(self, repository: str, tag: str | None, *digests: str) -> str:
        members = [{"digest": digest} for digest in digests]
        body = json.dumps({"mediaType": OCI_INDEX, "manifests": members}).encode()
        return self.put_manifest(Reference(HOST, repository), body, OCI_INDEX, tag=tag)

    def push(self, repository: str, tag: str | None, **fields: Any) -> str:
        body = json.dumps({"mediaType": OCI, "layers": [], **fields}).encode()
        return self.put_manifest(Reference(HOST, repository), body, OCI, tag=tag)

    def has(self, repository: str, digest: str) -> bool:
        return (repository, digest) in self.manifests

    def repositories(self, registry: str) -> Iterator[str]:
        assert registry == HOST
        if not self.lists:
            raise RegistryForbiddenError("no catalog here")
        yield from sorted({repository for repository, _ in self.manifests})

    def tags(self, repository: Reference) -> Iterator[str]:
        return iter([tag for path, tag in self.tagged if path == repository.repository])

    def resolve(self, image: str) -> str | None:
        reference = parse_reference(image)
        if reference.digest:
            return reference.digest if self.has(reference.repository, reference.digest) else None
        return self.tagged.get((reference.repository, str(reference.tag)))

    def manifest(self, reference: Reference) -> tuple[dict[str, Any], str]:
        return json.loads(self.manifest_bytes(reference)), str(reference.digest)

    def manifest_bytes(self, reference: Reference) -> bytes:
        return self.manifests[reference.repository, str(reference.digest)]

    def put_manifest(self, repository: Reference, body: bytes, media_type: str, *, tag: str | None) -> str:
        assert media_type == json.loads(body)["mediaType"]
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        self.manifests[repository.repository, digest] = body
        if tag:
            self.tagged[repository.repository, tag] = digest
        return digest

    def referrers(self, repository: Reference, digest: str) -> list[dict[str, Any]]:
        return [
            {"digest": found}
            for (path, found), body in self.manifests.items()
            if path == repository.repository and json.loads(body).get("subject", {}).get("digest") == digest
        ]

    def delete_manifest(self, repository: Reference, digest: str) -> bool:
        if self.deletes:
            self.manifests.pop((repository.repository, digest), None)
            self.tagged = {
                key: found for key, found in self.tagged.items() if (key[0], found) in self.manifests
            }
        return self.deletes

    def delete_tag(self, repository: Reference, tag: str) -> bool:
        if self.deletes_tags:
            self.tagged.pop((repository.repository, tag), None)
        return self.deletes_tags

    def image_repositories(self, *namespaces: str) -> ImageRepositories:
        return ImageRepositories(self, HOST, PREFIX, namespaces)


class FakeClusterUsage:
    """A UsageStore with the objects of a cluster, and the times that the last run has saved."""

    def __init__(self, *objects: Json) -> None:
        self.objects = list(objects)
        self.saved: UnusedSince = {}

    def usage(self) -> Usage:
        usage = UsageBuilder(PREFIX)
        for body in self.objects:
            usage.add(body)
        return usage.build()

    def unused_since(self) -> UnusedSince:
        return self.saved

    def save_unused_since(self, unused_since: UnusedSince) -> None:
        self.saved = dict(unused_since)


def image_revision(image: str, version: int, location: str | None, state: str | None = "Succeeded") -> Json:
    """Return the revision of a version of the Image team/`image`."""
    fields = {labels.IMAGE_LOCATION: location, labels.STATE: state}
    annotations = {key: value for key, value in fields.items() if value}
    body = controller_revision(Owner("Image", image, "uid"), version, {"manifestId": "m:1"}, annotations)
    return _in_team(body, REVISIONS.kind)


def pod(image: str) -> Json:
    return _in_team({"metadata": {"name": "p"}, "spec": {"containers": [{"image": image}]}}, PODS.kind)


def _in_team(body: Json, kind: str) -> Json:
    return {**body, "kind": kind, "metadata": {**body["metadata"], "namespace": "team"}}
