"""Public address of a Service: the field `route`."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import Field

from modelyard.api.base import ApiType, Boolean
from modelyard.api.rules import Rule

_LABEL: Final = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_HOST: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_PATH: Final = re.compile(r"/|(/([A-Za-z0-9_~-][A-Za-z0-9._~-]*))+")
MAX_HOST: Final = 253
"""Characters of a host name in an HTTPRoute, in an Ingress and in DNS."""
MAX_PATH: Final = 1024
"""Characters of a path match in an HTTPRoute."""


def is_host(text: str) -> bool:
    """Return whether a text is a host name in lower case, without a wildcard."""
    return bool(_HOST.fullmatch(text)) and len(text) <= MAX_HOST


def is_route_path(text: str) -> bool:
    """Return whether a text is an absolute path without `//`, `.`, `..` and without a slash at its end."""
    return bool(_PATH.fullmatch(text)) and len(text) <= MAX_PATH


_HOST_RULE: Final = Rule(
    cel=f"self.matches(r'^{_HOST.pattern}$')",
    message="route.host must be a DNS name in lower case, such as fraud.example.com, without a wildcard",
    is_valid=is_host,
)
_PATH_RULE: Final = Rule(
    cel=f"self.matches(r'^({_PATH.pattern})$')",
    message="route.path must be / or a path such as /fraud/v2, without a slash at the end. Segments have"
    " letters, digits and -._~, and begin with no dot",
    is_valid=is_route_path,
)


class Route(ApiType):
    """Public address of a Service, if the platform publishes Services (docs/publish.md)."""

    enabled: Boolean | None = None
    """If true, the Service has a public address. Default: routing.enabled of the chart, usually true."""
    host: Annotated[str, Field(min_length=1, max_length=MAX_HOST), _HOST_RULE] | None = None
    """Host name. Default: the chart's template. The platform lists the hosts that a namespace may take."""
    path: Annotated[str, Field(min_length=1, max_length=MAX_PATH), _PATH_RULE] | None = None
    """Path prefix, which the pods do not see. Default: the chart's template, or / for the whole host if
    host is set."""
