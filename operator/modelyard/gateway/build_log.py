"""The log of a build, followed until the build has ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from modelyard.api.labels import log_name
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.api.revision import Revision
from modelyard.gateway.errors import from_kube
from modelyard.gateway.operation_status import operation_status
from modelyard.gateway.request_context import Exchange
from modelyard.kube.errors import KubeError, Unavailable
from modelyard.kube.types import CONFIG_MAPS, REVISIONS

_PAUSE: Final = 1.5  # seconds between looks; the operator writes every three
_LONGEST: Final = 3600.0  # seconds that one answer may take
_OVERLAP: Final = 1000  # characters by which a log that has lost its beginning is joined to what was sent


class Look(NamedTuple):
    """A build at one moment."""

    ended: bool
    log: str
    message: str = ""  # how it goes, while there is no log


async def look(call: Exchange, version: Revision) -> Look:
    """How a build goes, and its log as it is kept; KubeError."""
    # In this order: the log is complete before the record says that the build has ended.
    record = await call.caller.find(REVISIONS, version.name)
    current = Revision.read(record) if record else None
    if current is None:
        return Look(ended=True, log="")
    kept = await call.caller.find(CONFIG_MAPS, log_name(version.key.name, version.version))
    log = str((kept or {}).get("data", {}).get("log", ""))
    if log or current.state:
        return Look(current.state is not None, log)
    owner = await call.caller.find(CUSTOM_RESOURCES[version.key.kind], version.key.name)
    now = operation_status(current, owner)
    return Look(now.state.ended, log, now.message)


async def follow(call: Exchange, version: Revision, first: Look) -> AsyncIterator[str]:
    """What a log has and what comes, after how the build goes until there is one.

    Ends with the build, and when the log cannot be read any more, which is said then.
    """
    end = time.monotonic() + _LONGEST
    seen, sent, told = first, "", ""
    while True:
        if seen.log:
            if piece := news(sent, seen.log):
                yield piece
            sent = seen.log
        elif seen.message not in {"", told}:
            yield f"{seen.message}\n"
            told = seen.message
        if seen.ended or time.monotonic() > end:
            return
        await asyncio.sleep(_PAUSE)
        try:
            seen = await look(call, version)
        except Unavailable:
            continue
        except KubeError as error:
            yield f"\n{from_kube(error).response.message}\n"
            return


def news(sent: str, log: str) -> str:
    """What a log has beyond what was sent of it.

    A long log is kept from its end, and that of a second attempt takes the place of the first one's.
    """
    if log.startswith(sent):
        return log[len(sent) :]
    last = sent[-_OVERLAP:]
    place = log.find(last)
    return log[place + len(last) :] if place >= 0 else log
