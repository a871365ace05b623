"""JSON documents in collected rows: bodies of requests and responses, written by anybody."""

from __future__ import annotations

import json
from typing import Any

import orjson


def parse(text: str | bytes) -> Any:
    """Return the document of a text. Raises ValueError for a text that is not JSON.

    NaN, infinite numbers and integers of any length are read, too: Python's own drivers write them.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("the document is nested too deeply") from None
