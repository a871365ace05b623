"""What all types share: frozen, camelCase on the wire, rules over several fields."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    Strict,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError

from modelyard.api.rules import VALIDATIONS, Rule


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("integer", "Input should be a valid integer")
    return value


def without_nulls(value: Any) -> Any:
    """A JSON object without its null fields: the API server drops them before it looks."""
    if not isinstance(value, dict):
        return value
    return {key: item for key, item in value.items() if item is not None}


# The API server takes 3.0 for 3, but neither "3" nor true, and neither 1 nor "true" for true.
INTEGER: Final = BeforeValidator(_number)  # last in Annotated, or bounds stay out of the schema
Boolean = Annotated[bool, Strict()]


class ApiType(BaseModel):
    """A piece of an object; unknown fields are the API server's to refuse or prune."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        return without_nulls(data)

    @model_validator(mode="after")
    def _enforce_rules(self) -> Self:
        for rule in self.rules:
            rule.enforce(self)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = dict(handler.resolve_ref_schema(dict(handler(core))))
        return schema | ({VALIDATIONS: [rule.as_cel() for rule in cls.rules]} if cls.rules else {})

    def to_json(self) -> dict[str, Any]:
        """The JSON form: camelCase, unset and null fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
