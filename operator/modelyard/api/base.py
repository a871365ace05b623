"""What all types share: frozen, camelCase on the wire, rules over several fields."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema

from modelyard.api.rules import VALIDATIONS, Rule


class ApiType(BaseModel):
    """A piece of an object as users write it; unknown fields are the API server's to refuse or prune."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _enforce_rules(self) -> Self:
        for rule in self.rules:
            rule.enforce(self)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = dict(handler.resolve_ref_schema(dict(handler(core))))
        return schema | ({VALIDATIONS: [rule.as_cel() for rule in cls.rules]} if cls.rules else {})

    def wire(self) -> dict[str, Any]:
        """The JSON form: camelCase, unset and null fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
