"""A validation rule said once and held twice: as CEL by the API server, as Python by the types.

CEL: https://kubernetes.io/docs/reference/using-api/cel/
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


@dataclass(frozen=True)
class Rule:
    """One sentence that a value must satisfy.

    Put it in `Annotated[...]` for a field, or in a class's `rules` for several fields together.
    `cel` and `holds` say the same; the table of bad manifests keeps them from disagreeing.
    `field` is the path, below the value, of the field to blame (CEL's fieldPath), such as `.minReplicas`.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]
    field: str | None = None

    def enforce(self, value: Any) -> Any:
        """Return the value; PydanticCustomError with the rule's message when it does not hold."""
        if not self.holds(value):
            raise PydanticCustomError(
                "rule", "{message}", {"message": self.message, "field": self.field or ""}
            )
        return value

    def as_cel(self) -> dict[str, str]:
        """The entry of `x-kubernetes-validations`."""
        entry = {"rule": self.cel, "message": self.message}
        return entry | ({"fieldPath": self.field} if self.field else {})

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.enforce, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = dict(handler(core))
        return schema | {VALIDATIONS: [*schema.get(VALIDATIONS, []), self.as_cel()]}


VALIDATIONS = "x-kubernetes-validations"
