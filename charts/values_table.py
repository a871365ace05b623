"""Write the table of values in the README of the chart from the `# --` comments of values.yaml."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent / "modelyard"
README = CHART / "README.md"
BEGIN, END = "<!-- values: written by `make chart-docs` -->\n", "<!-- end of values -->\n"
_KEY = re.compile(r'^( *)"?([\w.-]+)"?:')


def descriptions(text: str) -> dict[str, str]:
    """Return the comments of values.yaml by the dotted path of their value."""
    found: dict[str, str] = {}
    path: list[str] = []
    comment = ""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("# -- "):
            comment = stripped.removeprefix("# -- ")
        elif stripped.startswith("#"):
            comment += f" {stripped.removeprefix('#').strip()}" if comment else ""
        elif key := _KEY.match(line):
            path = [*path[: len(key[1]) // 2], key[2]]
            if comment:
                found[".".join(path)] = comment
            comment = ""
    return found


def default(values: dict[str, Any], path: str) -> Any:
    """Return the value at a dotted path."""
    for key in path.split("."):
        values = values[key]
    return values


def table() -> str:
    """Return the table of values in Markdown, with one row for each value."""
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    rows = [
        f"| `{path}` | `{json.dumps(default(values, path))}` | {description} |\n"
        for path, description in descriptions(text).items()
    ]
    return "".join(["| value | default | |\n", "|---|---|---|\n", *rows])


def readme() -> str:
    """Return the text of README.md with the present table of values."""
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table() + END + after


if __name__ == "__main__":
    README.write_text(readme(), encoding="utf-8")
