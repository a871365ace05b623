"""`azureml.contrib.services.aml_request` for drivers: `rawhttp`, and `AMLRequest`, a request of werkzeug.

The real AMLRequest is one of Flask, whose request adds little but its application's state to werkzeug's.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from werkzeug.wrappers import Request

if not hasattr(Request, "get_json"):
    raise ImportError(
        "werkzeug of the driver's packages is too old for AMLRequest: require version 2.0 or later"
    )

Function = TypeVar("Function", bound=Callable[..., Any])

_raw_http_requested = False


def rawhttp(function: Function) -> Function:
    """Declare that run() takes an AMLRequest and may return an AMLResponse."""
    # Stored in the module, not on the function: decorators around it would hide an attribute.
    global _raw_http_requested  # noqa: PLW0603
    _raw_http_requested = True
    return function


def raw_http_requested() -> bool:
    """Return True if the driver uses @rawhttp."""
    return _raw_http_requested


class AMLRequest(Request):
    """One complete HTTP request."""

    max_form_memory_size = None  # the body is in memory already, and MODELYARD_MAX_BODY_BYTES bounds it
