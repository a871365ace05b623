"""Path prefix of the OpenAPI document behind a proxy that removes it from the path of requests."""

import json
import re
from typing import Final

from modelyard.scoring.contract import PREFIX_HEADER

FORWARDED_PREFIX: Final = PREFIX_HEADER.lower().encode()
"""The name of the header in parsed requests."""

_PREFIX: Final = re.compile(rb"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_MAX_BYTES: Final = 1024
"""Characters of a path match in an HTTPRoute."""


def with_prefix(document: bytes, prefix: bytes | None) -> bytes:
    """Return an OpenAPI document whose paths are below a prefix, unless it names its own servers.

    A header that is no plain path changes nothing: any client can send one.
    """
    if prefix is None or len(prefix) > _MAX_BYTES or not _PREFIX.fullmatch(prefix):
        return document
    content, path = json.loads(document), prefix.decode()
    if not isinstance(content, dict):  # the driver's own file
        return document
    if "swagger" in content:
        content.setdefault("basePath", path)
    else:
        content.setdefault("servers", [{"url": path}])
    return json.dumps(content).encode()
