"""The log of a build, streamed until the build ends."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from modelyard.api.labels import log_name
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.api.revision import FullRevision
from modelyard.gateway.errors import from_kube
from modelyard.gateway.operation_status import operation_status
from modelyard.gateway.request_context import RequestContext
from modelyard.kube.errors import KubeError, Unavailable
from modelyard.kube.types import CONFIG_MAPS, REVISIONS

_POLL_SECONDS: Final = 1.5  # the operator writes the log every 3 to 30 seconds
_MAX_STREAM_SECONDS: Final = 3600.0
_OVERLAP: Final = 1000  # characters that must match to join a shortened log to the text already sent


class LogSnapshot(NamedTuple):
    """The state of a build's log at one moment."""

    ended: bool
    log: str
    message: str = ""  # the progress of the build, while there is no log


async def read_log(context: RequestContext, version: FullRevision) -> LogSnapshot:
    """Read the stored log of a build, or its progress while there is no log. Raises KubeError."""
    client, namespace = context.client, context.namespace
    # In this order, because the operator completes the log before it records the end of the build.
    body = await client.get_or_none(REVISIONS, namespace, version.name)
    current = FullRevision.read(body) if body else None
    if current is None:
        return LogSnapshot(ended=True, log="")
    config_map = await client.get_or_none(CONFIG_MAPS, namespace, log_name(version.key.name, version.version))
    log = str((config_map or {}).get("data", {}).get("log", ""))
    if log or current.state:
        return LogSnapshot(current.state is not None, log)
    owner = await client.get_or_none(CUSTOM_RESOURCES[version.key.kind], namespace, version.key.name)
    status = operation_status(current, owner)
    return LogSnapshot(status.state.ended, log, status.message)


async def stream_log(
    context: RequestContext,
    version: FullRevision,
    first: LogSnapshot,
) -> AsyncIterator[str]:
    """Yield the progress of a build until there is a log, then the log as it grows.

    The stream ends with the build, after an hour, or with the message of an error if the log cannot be read.
    """
    end = time.monotonic() + _MAX_STREAM_SECONDS
    snapshot, sent_log, sent_message = first, "", ""
    while True:
        if snapshot.log:
            if text := new_text(sent_log, snapshot.log):
                yield text
            sent_log = snapshot.log
        elif snapshot.message not in {"", sent_message}:
            yield f"{snapshot.message}\n"
            sent_message = snapshot.message
        if snapshot.ended or time.monotonic() > end:
            return
        await context.state.sleep(_POLL_SECONDS)
        try:
            snapshot = await read_log(context, version)
        except Unavailable:
            continue
        except KubeError as error:
            yield f"\n{from_kube(error).response.message}\n"
            return


def new_text(sent: str, log: str) -> str:
    """Return the part of a log that follows the text already sent.

    The operator cuts off the beginning of a long log, and replaces the log of a first attempt by the log of
    the second.
    """
    if log.startswith(sent):
        return log[len(sent) :]
    last = sent[-_OVERLAP:]
    position = log.find(last)
    return log[position + len(last) :] if position >= 0 else log
