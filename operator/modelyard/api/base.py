"""Base class of the API types: immutable, camelCase in JSON, with validation rules over several fields."""

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


def _reject_non_numbers(value: Any) -> Any:
    """Return the value; raises PydanticCustomError for booleans and texts, which pydantic would convert."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("integer", "Input should be a valid integer")
    return value


def without_nulls(value: Any) -> Any:
    """Return a JSON object without its null fields, which the API server removes before validation."""
    if not isinstance(value, dict) or None not in value.values():
        return value
    return {key: item for key, item in value.items() if item is not None}


# The API server accepts 3.0 as an integer but not "3" or true, and accepts neither 1 nor "true" as a boolean.
# INTEGER must be the last item of Annotated: before Field, pydantic leaves the bounds out of the JSON schema.
INTEGER: Final = BeforeValidator(_reject_non_numbers)
Boolean = Annotated[bool, Strict()]


class ApiType(BaseModel):
    """Base class of the parts of an object. Ignores unknown fields: the API server rejects or prunes them."""

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
        """Return the JSON form: camelCase names, without null fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
