"""The request that a driver now serves, for the data that the driver collects."""

import json
from contextvars import ContextVar
from typing import Final

_meta: Final[ContextVar[bytes]] = ContextVar("request", default=b"")


class CurrentRequests:
    """The state of the process, as its channel and its collectors see it."""

    is_needed = False
    """A collector exists: the front sends the ids of each request from the end of init() on."""
    alone = b""
    """Meta of the latest request if one runs at a time: a thread of the driver has no context variables."""


def begin(meta: bytes, *, overlaps: bool) -> None:
    """Note the request that begins, by its meta (see frames). `overlaps` is True if others may run."""
    _meta.set(meta)
    CurrentRequests.alone = b"" if overlaps else meta


def current_ids() -> tuple[str, str]:
    """Return the request id and the traceparent header of the present request; empty outside of run()."""
    meta = _meta.get() or CurrentRequests.alone
    if not meta:
        return "", ""
    headers = json.loads(meta)["headers"]
    return headers["x-request-id"], headers.get("traceparent", "")
