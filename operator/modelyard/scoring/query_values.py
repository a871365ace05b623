"""The values of a query string, for run() and for data collection."""

import json
from typing import Any
from urllib.parse import parse_qs


def query_values(query: bytes) -> dict[str, tuple[Any, Any]]:
    """Parse `a=1&b=x&b=y` as {"a": 1, "b": ["x", "y"]}, each value paired with its text (Azure ML's rule)."""
    fields = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    both = {name: ([_json_or_text(text) for text in texts], texts) for name, texts in fields.items()}
    return {
        name: (values[0], texts[0]) if len(texts) == 1 else (values, texts)
        for name, (values, texts) in both.items()
    }


def _json_or_text(value: str) -> object:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
