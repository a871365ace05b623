"""Exceptions by which drivers of 2017 choose the status of the response: azureml.api.exceptions."""

import sys
from types import TracebackType
from typing import Final

_MODULES: Final = (
    "azureml.api.exceptions.ApiException",
    "modelyard.scoring.worker.azureml.api_exceptions",
)
"""The base class in the installed azure-ml-api-sdk, and the runtime's."""

_PARSER: Final = ("azureml.api.schema.schemaUtil", "parse_service_input")


def status_and_message(error: BaseException) -> tuple[int, str] | None:
    """Return the status that the driver has chosen, with the message; None for an ordinary exception.

    Each exception of the conversion by service_schema.json is the client's, with the status 400. The SDK
    raises KeyError for a table without one of its columns.
    """
    for name in _MODULES:
        base = getattr(sys.modules.get(name), "ApiException", None)
        if base is not None and isinstance(error, base):
            status = int(error.status_code)
            return (status if 400 <= status <= 599 else 500), str(error.message)
    if isinstance(error, Exception) and _is_of_parser(error.__traceback__):
        return 400, f"The input does not match the schema: {type(error).__name__}: {error}"
    return None


def _is_of_parser(traceback: TracebackType | None) -> bool:
    while traceback is not None:
        frame = traceback.tb_frame
        if (frame.f_globals.get("__name__"), frame.f_code.co_name) == _PARSER:
            return True
        traceback = traceback.tb_next
    return False
