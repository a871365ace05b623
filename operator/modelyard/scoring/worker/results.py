"""From the result of run() to a reply."""

import dataclasses
import json
from typing import Any

from modelyard.scoring.frames import RETURNED, Reply


def reply_of(result: Any) -> Reply:
    """Return the reply: a response object passes through, any other result is written as JSON.

    A str is quoted, too, even if it contains JSON: clients of the Azure ML containers decode twice. Raises
    TypeError or ValueError if the result cannot be written as JSON.
    """
    if hasattr(result, "status_code") and hasattr(result, "get_data"):
        return _reply_of_response(result)
    return Reply(RETURNED, 200, json.dumps(result, default=_as_json_type).encode())


def _reply_of_response(response: Any) -> Reply:
    """Return the reply of an AMLResponse, or of a Flask response if the driver has Flask."""
    headers = response.headers.items() if hasattr(response.headers, "items") else response.headers
    lines = [(str(name), str(value)) for name, value in headers]
    status = int(response.status_code)
    failed = status >= 500 or getattr(response, "run_function_failed", False)
    lines.append(("x-ms-run-function-failed", str(bool(failed))))
    return Reply(RETURNED, status, response.get_data(), json.dumps(lines).encode())


def _as_json_type(value: Any) -> Any:
    """Convert what json.dumps cannot write: numpy, pandas and pydantic objects, and dataclasses."""
    if hasattr(value, "to_json") and hasattr(value, "columns"):
        return json.loads(value.to_json(orient="records"))
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"run() returned a {type(value).__name__}, which cannot be written as JSON")
