"""What inference_schema's decorators say of run(), asked of the package in the driver's environment."""

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any


def is_decorated(run: Callable[..., Any]) -> bool:
    """Whether run() has @input_schema or @output_schema."""
    util = _util()
    return util is not None and bool(util.is_schema_decorated(run))


def schemas(run: Callable[..., Any]) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Of the input, of the output, and the OpenAPI versions that can say it: 2.0, 3.0, 3.1."""
    util = _util()
    return util.get_input_schema(run), util.get_output_schema(run), util.get_supported_versions(run)


def has_begun(run: Callable[..., Any], traceback: TracebackType | None) -> bool:
    """Whether the error with this traceback came out of run()'s own code.

    The decorators convert the arguments inside the call of run(): an error in there is the client's.
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
