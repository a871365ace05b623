"""Status of an HTTPRoute or an Ingress, as the data plane reports it."""

from __future__ import annotations

from typing import Final, NamedTuple, Self

from modelyard.api.conditions import find_condition
from modelyard.kube.types import Json

_TYPES: Final = ("Accepted", "ResolvedRefs")  # conditions of each parent of an HTTPRoute, in this order
_PARENT_FIELDS: Final = ("name", "namespace", "sectionName")


class RouteStatus(NamedTuple):
    """The report of the data plane on the present generation of a route."""

    reported: bool = False
    reason: str = ""  # of the first condition that is not True
    message: str = ""

    @classmethod
    def read(cls, body: Json) -> Self:
        """Parse an HTTPRoute or an Ingress as the API server sends it; no other object has a report."""
        status = body.get("status") or {}
        if "parents" in status:
            return cls._of_parents(body, status["parents"])
        addresses = (status.get("loadBalancer") or {}).get("ingress")
        return cls(reported=True) if addresses else cls()

    @classmethod
    def _of_parents(cls, body: Json, parents: list[Json]) -> Self:
        """Return the report of the Gateway that the HTTPRoute names.

        The status keeps the report of another Gateway until its controller removes it.
        """
        metadata = body["metadata"]
        references = body["spec"].get("parentRefs") or [{}]
        named = _parent(references[0], metadata["namespace"])
        for parent in parents:
            if _parent(parent.get("parentRef") or {}, metadata["namespace"]) != named:
                continue
            for type_ in _TYPES:
                condition = find_condition(type_, parent)
                if condition is None or condition.get("observedGeneration", 0) < metadata.get(
                    "generation", 0
                ):
                    return cls()
                if condition["status"] != "True":
                    return cls(True, condition.get("reason") or type_, condition.get("message") or type_)
            return cls(reported=True)
        return cls()


def _parent(reference: Json, namespace: str) -> tuple[str, ...]:
    return tuple(({"namespace": namespace} | reference).get(field, "") for field in _PARENT_FIELDS)
