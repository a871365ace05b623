"""Events of our four kinds."""

from __future__ import annotations

from typing import Any

import kopf

from modelyard.api.kinds import Kind
from modelyard.api.names import GROUP, VERSION
from modelyard.controller import Controller


def register(registry: kopf.OperatorRegistry, controller: Controller, kind: Kind) -> None:
    """Tell the controller of each event of a kind."""

    @kopf.on.event(GROUP, VERSION, kind.plural, registry=registry, id=kind.plural)
    def observe(event: kopf.RawEvent, **_: Any) -> None:
        controller.observe(kind.name, dict(event["object"]), deleted=event["type"] == "DELETED")
