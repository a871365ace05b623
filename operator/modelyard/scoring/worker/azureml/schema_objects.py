"""`azureml.api.schema.dataTypes`, `.schemaObjects` and `.utilities`: the parts of service_schema.json."""

import base64
import pickle
from typing import Any, Self


class DataTypes:
    """The kinds of samples, as numbers in service_schema.json."""

    STANDARD = 0
    NUMPY = 1
    SPARK = 2
    PANDAS = 3


def serialize(value: Any) -> str:
    """Return a pickle in base64."""
    return base64.b64encode(pickle.dumps(value)).decode()


def deserialize(text: str) -> Any:
    """Return the value of a pickle in base64. It is a file of the driver's own, as trusted as its code."""
    return pickle.loads(base64.b64decode(text))  # noqa: S301 - see above


class InternalSchema:
    """The shape and types of one input or output."""

    def serialize_to_string(self) -> str:
        """Return the schema as it is in service_schema.json."""
        return serialize(self)

    @classmethod
    def deserialize_from_string(cls, text: str) -> Self:
        """Return the schema of a text. Raises ValueError if it cannot be read."""
        try:
            return deserialize(text)  # type: ignore[no-any-return]
        except Exception as error:
            raise ValueError(
                f"an `internal` schema in service_schema.json cannot be read: {error}. "
                f"Generate the file with the versions of numpy and pandas that the driver requires"
            ) from error


class Schema:
    """One input or output: its type, its internal schema, and its schema in OpenAPI."""

    def __init__(self, data_type: int, internal_form: InternalSchema, swagger_form: dict[str, Any]) -> None:
        self.type = data_type
        self.internal = internal_form
        self.swagger = swagger_form


class ServiceSchema:
    """The inputs and outputs of run(), by name."""

    def __init__(
        self, inputs_schema: dict[str, Schema] | None, outputs_schema: dict[str, Schema] | None
    ) -> None:
        self.input = inputs_schema
        self.output = outputs_schema


# Pickles of these classes are read by azure-ml-api-sdk, and the other way round.
for _class in (InternalSchema, Schema, ServiceSchema):
    _class.__module__ = "azureml.api.schema.schemaObjects"
