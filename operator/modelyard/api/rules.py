"""Validation rules that the API server enforces as CEL and the pydantic types enforce as Python.

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
    """One condition that a value must satisfy, with the message for users.

    A rule of one field is part of its `Annotated[...]`. A rule over several fields is part of the `rules` of
    the class. `cel` and `is_valid` are the same condition in two languages: tests/api_cases checks that both
    give the same verdict. `field` is the path below the value that a violation refers to (fieldPath of
    x-kubernetes-validations), such as `.minReplicas`.
    """

    cel: str
    message: str
    is_valid: Callable[[Any], bool]
    field: str | None = None

    def enforce(self, value: Any) -> Any:
        """Return a valid value; raises PydanticCustomError with the rule's message for an invalid one."""
        if not self.is_valid(value):
            raise PydanticCustomError(
                "rule", "{message}", {"message": self.message, "field": self.field or ""}
            )
        return value

    def as_cel(self) -> dict[str, str]:
        """Return the entry of `x-kubernetes-validations`."""
        entry = {"rule": self.cel, "message": self.message}
        return entry | ({"fieldPath": self.field} if self.field else {})

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.enforce, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = dict(handler(core))
        return schema | {VALIDATIONS: [*schema.get(VALIDATIONS, []), self.as_cel()]}


VALIDATIONS = "x-kubernetes-validations"
