"""From what run() returned to an answer."""

import dataclasses
import json
from typing import Any

from modelyard.scoring.frames import RETURNED
from modelyard.scoring.worker.channel import Reply


def reply_of(result: Any) -> Reply:
    """An answer of its own passes through; anything else is JSON. Raises what json.dumps raises.

    A str is quoted too, whatever it contains: clients decode twice.
    """
    if hasattr(result, "status_code") and hasattr(result, "get_data"):
        return _passed_through(result)
    return Reply(RETURNED, 200, json.dumps(result, default=_plain).encode())


def _passed_through(response: Any) -> Reply:
    """An AMLResponse, or a response of Flask when the driver has it."""
    headers = response.headers.items() if hasattr(response.headers, "items") else response.headers
    lines = [(str(name), str(value)) for name, value in headers]
    status = int(response.status_code)
    failed = status >= 500 or getattr(response, "run_function_failed", False)
    lines.append(("x-ms-run-function-failed", str(bool(failed))))
    return Reply(RETURNED, status, response.get_data(), meta=json.dumps(lines).encode())


def _plain(value: Any) -> Any:
    """What json.dumps cannot do by itself: arrays and numbers of numpy, pandas, pydantic, dataclasses."""
    if hasattr(value, "to_json") and hasattr(value, "columns"):
        return json.loads(value.to_json(orient="records"))
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"run() returned a {type(value).__name__}, which is no JSON")
