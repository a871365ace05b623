"""The log of a build, followed until the build has ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

from modelyard.gateway.exchange import Exchange
from modelyard.gateway.versions import Version, progress, version_of
from modelyard.kube.errors import KubeError
from modelyard.kube.types import CONFIG_MAPS, OURS, REVISIONS
from modelyard.resources.labels import log_name

_PAUSE: Final = 1.0  # seconds between looks
_LONGEST: Final = 3600.0  # seconds that one answer may take


async def follow(call: Exchange, version: Version) -> AsyncIterator[str]:
    """The log as it is kept, and how the build goes until then."""
    end = time.monotonic() + _LONGEST
    told = kept = ""
    while True:
        body = await call.caller.find(REVISIONS, version.record)
        current = version_of(body) if body else None
        if current is None:
            return
        owner = await call.caller.find(OURS[version.kind.name], version.object)
        now = progress(current, owner)
        log = await _kept(call, version)
        if log != kept:
            yield log.removeprefix(kept)
            kept = log
        elif not log and now.message and now.message != told and not now.state.ended:
            yield f"{now.message}\n"
            told = now.message
        if now.state.ended or time.monotonic() > end:
            return
        await asyncio.sleep(_PAUSE)


async def _kept(call: Exchange, version: Version) -> str:
    try:
        body = await call.caller.find(CONFIG_MAPS, log_name(version.object, version.number))
    except KubeError:
        return ""
    return str((body or {}).get("data", {}).get("log", ""))
