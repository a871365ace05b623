"""The schema of run() from inference_schema's decorators, by the package in the driver's environment."""

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any


def is_decorated(run: Callable[..., Any]) -> bool:
    """Return True if run() has @input_schema or @output_schema."""
    util = _util()
    return util is not None and bool(util.is_schema_decorated(run))


def schemas(run: Callable[..., Any]) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Return the schemas of input and output, and the OpenAPI versions that can express them."""
    util = _util()
    return util.get_input_schema(run), util.get_output_schema(run), util.get_supported_versions(run)


def has_reached(run: Callable[..., Any], traceback: TracebackType | None) -> bool:
    """Return True if the traceback passes through run()'s own code.

    The decorators convert the arguments inside the call of run(): an error in the conversion is the client's.
    """
    code = getattr(_innermost(run), "__code__", None)
    while traceback is not None:
        if traceback.tb_frame.f_code is code:
            return True
        traceback = traceback.tb_next
    return False


def _innermost(run: Any) -> Any:
    while hasattr(run, "__wrapped__"):
        run = run.__wrapped__
    return run


def _util() -> Any:
    return sys.modules.get("inference_schema.schema_util")
