"""A client of OCI registries: https://github.com/opencontainers/distribution-spec/blob/main/spec.md.

Builds stream layers while they are generated, resume a broken upload at the last byte, mount blobs, and
attach referrers. The `oras` package (0.2.43) uploads only files of a disk, and has no resume, mount or
referrers. The client needs constant memory for blobs of any size. A build peaks at 55 MB for a model of 100
MB, and at 56 MB for one of 2 GB (docs/building-bench.md).
"""

from __future__ import annotations

from modelyard.oci.client import RegistryClient
from modelyard.oci.media_types import Descriptor
from modelyard.oci.upload_body import Blob

__all__ = ["Blob", "Descriptor", "RegistryClient"]
