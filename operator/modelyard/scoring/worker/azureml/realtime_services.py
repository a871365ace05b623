"""`azureml.api.realtime`: generate_schema(), generate_main() and generate_service_swagger()."""

import copy
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from modelyard.scoring.worker.azureml.service_schema import Samples, _generate_service_schema

_DRIVER: Final = '''\
"""The driver that azureml.api.realtime.services.generate_main has made of {module}.py."""

import json
import os

import {module}
from azureml.api.exceptions.BadRequest import BadRequestException
from azureml.api.realtime.swagger_spec_generator import generate_service_swagger
from azureml.api.schema.schemaUtil import load_service_schema, parse_service_input

SCHEMA_FILE = {schema_file!r}


def init():
    global service_schema
    service_schema = load_service_schema(SCHEMA_FILE) if SCHEMA_FILE else None
    document = generate_service_swagger(
        service_name=os.getenv("SERVICE_NAME", "ML service"),
        service_schema_file_path=SCHEMA_FILE,
        service_version=os.getenv("SERVICE_VERSION", "1.0"),
        service_path_prefix=os.getenv("SERVICE_PATH_PREFIX", ""),
    )
    with open("swagger.json", "w") as file:
        json.dump(document, file)
    {module}.init()


def run(http_body):
    if service_schema is None:
        return {module}.run(http_body)
    arguments = parse_service_input(http_body, service_schema.input)
    try:
        return {module}.run(**arguments)
    except TypeError as error:
        raise BadRequestException(str(error))
'''


def generate_schema(
    run_func: Callable[..., Any],
    inputs: Samples | None = None,
    outputs: Samples | None = None,
    filepath: str | None = None,
) -> dict[str, Any]:
    """Return the content of service_schema.json, and write it to `filepath`.

    Raises ValueError unless the inputs are the parameters of run_func().
    """
    schema = _generate_service_schema(inputs, outputs)
    parameters = list(inspect.signature(run_func).parameters)
    named = list(schema.get("input", {}))
    if sorted(parameters) != sorted(named):
        raise ValueError(
            f"Argument mismatch: the parameters of the run function are {', '.join(parameters) or 'none'}, "
            f"and the declared inputs are {', '.join(named) or 'none'}"
        )
    if filepath is not None:
        Path(filepath).write_text(json.dumps(schema), "utf-8")
    return schema


def generate_main(user_file: str, schema_file: str, main_file_name: str) -> str:
    """Write a driver that converts the input of the user's file by its schema. Return the driver's path."""
    driver = _DRIVER.format(module=Path(user_file).stem, schema_file=schema_file)
    Path(main_file_name).write_text(driver, "utf-8")
    return main_file_name


def generate_service_swagger(
    service_name: str,
    service_schema_file_path: str | None = None,
    service_version: str = "1.0",
    service_path_prefix: str = "",
) -> dict[str, Any]:
    """Return the OpenAPI document of a service. Raises ValueError if the schema file does not exist."""
    prefix = service_path_prefix.rstrip("/")
    if prefix and not prefix.startswith("/"):
        prefix = f"/{prefix}"
    definitions: dict[str, Any] = {"ServiceInput": {"type": "object"}, "ServiceOutput": {"type": "object"}}
    if service_schema_file_path:
        if not Path(service_schema_file_path).is_file():
            raise ValueError(f"Invalid service schema file path: {service_schema_file_path}.")
        schema = json.loads(Path(service_schema_file_path).read_text("utf-8"))
        for key, definition in (("input", "ServiceInput"), ("output", "ServiceOutput")):
            if key in schema:
                definitions[definition] = _definition(schema[key])
    definitions["ErrorResponse"] = {
        "type": "object",
        "properties": {
            "status_code": {"type": "integer", "format": "int32"}, "message": {"type": "string"},
        },
    }  # fmt: skip
    return {
        "swagger": "2.0",
        "info": {
            "title": service_name,
            "description": f"API specification for the Azure Machine Learning service {service_name}",
            "version": service_version,
        },
        "schemes": ["https"],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "paths": _paths(prefix),
        "definitions": definitions,
    }


def _definition(entries: dict[str, Any]) -> dict[str, Any]:
    definition: dict[str, Any] = {"type": "object", "properties": {}, "example": {}}
    for name, entry in entries.items():
        swagger = copy.deepcopy(entry["swagger"])
        definition["example"][name] = swagger.pop("example")
        definition["properties"][name] = swagger
    return definition


def _paths(prefix: str) -> dict[str, Any]:
    failed = {
        "description": "The service failed to execute due to an error.",
        "schema": {"$ref": "#/definitions/ErrorResponse"},
    }
    health = {
        "operationId": "ServiceHealthCheck",
        "description": "The health of the service.",
        "responses": {
            "200": {"description": "The service runs.", "schema": {"type": "string"}},
            "default": failed,
        },
    }
    score = {
        "operationId": "RunMLService",
        "description": "The prediction for an input.",
        "parameters": [{
            "name": "serviceInputPayload",
            "in": "body",
            "description": "The input of the service.",
            "schema": {"$ref": "#/definitions/ServiceInput"},
        }],
        "responses": {
            "200": {"description": "The prediction.", "schema": {"$ref": "#/definitions/ServiceOutput"}},
            "default": failed,
        },
    }  # fmt: skip
    return {f"{prefix}/": {"get": health}, f"{prefix}/score": {"post": score}}
