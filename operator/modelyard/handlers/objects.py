"""Events of our four kinds."""

from __future__ import annotations

from typing import Any

import kopf

from modelyard.api.kinds import Kind
from modelyard.api.names import GROUP, VERSION
from modelyard.controller import Controller


def register(registry: kopf.OperatorRegistry, controller: Controller, kind: Kind) -> None:
    """Tell the controller of each event of a kind."""

    # async: kopf runs plain functions in threads, and the store and the queue belong to the event loop.
    @kopf.on.event(GROUP, VERSION, kind.plural, registry=registry, id=kind.plural)
    async def observe(event: kopf.RawEvent, **_: Any) -> None:
        controller.observe(kind.name, dict(event["object"]), deleted=event["type"] == "DELETED")
