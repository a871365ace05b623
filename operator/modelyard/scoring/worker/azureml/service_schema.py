"""`azureml.api.schema.schemaUtil` and `.sampleDefinition`: service_schema.json, and inputs by it.

Generated drivers import all names of schemaUtil, and use `json` from there.
"""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from modelyard.scoring.worker.azureml.api_exceptions import BadRequestException, InternalServerException
from modelyard.scoring.worker.azureml.schema_objects import DataTypes, Schema, ServiceSchema

_UTILITIES: Final = {
    DataTypes.STANDARD: ("azureml.api.schema.pythonUtil", "Python"),
    DataTypes.NUMPY: ("azureml.api.schema.numpyUtil", "Numpy"),
    DataTypes.PANDAS: ("azureml.api.schema.pandasUtil", "Pandas"),
}


def _utility(data_type: int, suffix: str) -> Any:
    """Return NumpyUtil, PandasSchema and so on: numpy and pandas are imported for such samples only."""
    if data_type == DataTypes.SPARK:
        raise ImportError(
            "samples of Spark need azure-ml-api-sdk: add azure-ml-api-sdk==0.1.0a11 to pipRequirements"
        )
    if data_type not in _UTILITIES:
        raise ValueError(
            f"Invalid schema type found: {data_type}. Only types defined in dataTypes.DataTypes are valid"
        )
    module, prefix = _UTILITIES[data_type]
    return getattr(importlib.import_module(module), prefix + suffix)


class SampleDefinition:
    """One input or output of run(), by a sample."""

    def __init__(self, input_type: int, sample_data: Any) -> None:
        self.schema: Schema = _utility(input_type, "Util").extract_schema(sample_data)
        self.type = input_type

    def serialize(self) -> dict[str, Any]:
        """Return the entry in service_schema.json."""
        return {"internal": self.get_schema_string(), "swagger": self.schema.swagger, "type": self.type}

    def get_schema_string(self) -> str:
        """Return the internal schema as text."""
        return self.schema.internal.serialize_to_string()


Samples = Mapping[str, SampleDefinition]


def save_service_schema(
    file_path: str, input_schema_sample: Samples | None = None, output_schema_sample: Samples | None = None
) -> None:
    """Write the schemas of samples to a file. Raises ValueError without samples, OSError for a bad path."""
    if not input_schema_sample and not output_schema_sample:
        raise ValueError(
            "At least one of the input / output schema samples need to be specified on this call"
        )
    schema = _generate_service_schema(input_schema_sample, output_schema_sample)
    Path(file_path).write_text(json.dumps(schema), "utf-8")


def _generate_service_schema(inputs: Samples | None = None, outputs: Samples | None = None) -> dict[str, Any]:
    """Return the content of service_schema.json. Raises ValueError unless all are SampleDefinitions."""
    schema = {}
    for key, samples in (("input", inputs), ("output", outputs)):
        if samples is None:
            continue
        if not isinstance(samples, dict) or not all(hasattr(one, "serialize") for one in samples.values()):
            raise ValueError(f"Invalid {key} schema sample: must be a map {key} name -> SampleDefinition")
        schema[key] = {name: sample.serialize() for name, sample in samples.items()}
    return schema


def load_service_schema(filename: str) -> ServiceSchema:
    """Return the schemas of a service_schema.json. Raises ValueError if it is missing or invalid."""
    if not Path(filename).is_file():
        raise ValueError(f"Specified schema file cannot be found: {filename}.")
    document = json.loads(Path(filename).read_text("utf-8"))
    return ServiceSchema(
        *(_schemas(document[key]) if key in document else None for key in ("input", "output"))
    )


def _schemas(entries: dict[str, dict[str, Any]]) -> dict[str, Schema]:
    schemas = {}
    for name, entry in entries.items():
        for field in ("type", "internal", "swagger"):
            if entry.get(field) is None:
                raise ValueError(f"Invalid schema, {field} not found for item {name}")
        internal = _utility(entry["type"], "Schema").deserialize_from_string(entry["internal"])
        schemas[name] = Schema(entry["type"], internal, entry["swagger"])
    return schemas


def parse_service_input(http_body: str, service_input_schema: dict[str, Schema] | None) -> dict[str, Any]:
    """Return the arguments of run(). Raises BadRequestException if the body does not match the schema."""
    if service_input_schema is None:
        raise InternalServerException("service schema is set to None")
    try:
        fields = json.loads(http_body)
    except (ValueError, RecursionError) as error:
        raise BadRequestException(f"Input failed JSON deserialization: {error}") from error
    if not isinstance(fields, dict):
        raise BadRequestException(
            "Input request does not respect the schema defined by the service's swagger specification."
        )
    arguments = {}
    for name, value in fields.items():
        if name not in service_input_schema:
            raise BadRequestException(f"Argument mismatch: Unexpected argument {name}")
        schema = service_input_schema[name]
        try:
            arguments[name] = _utility(schema.type, "Util").get_input_object(value, schema)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
            raise BadRequestException(
                f"Failed to deserialize {name} to type provided by input schema, Error Details: {error}"
            ) from error
    return arguments
