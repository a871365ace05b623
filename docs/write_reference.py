"""Write reference.md: the fields of the four kinds, and the metrics of operator and gateway."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from prometheus_client import Metric
from prometheus_client.metrics import MetricWrapperBase

from modelyard import metrics
from modelyard.controller.state_metrics import StateFamilies
from modelyard.gateway import metrics as gateway_metrics

PAGE = Path(__file__).parent / "reference.md"
CRDS = Path(__file__).parents[1] / "crds"
KINDS = ("models", "manifests", "images", "services")
INTRODUCTION = """\
# Reference

Written by `make docs`. `kubectl explain msvc.spec.autoScaler` has the same texts. The short names of
the kinds are `mdl`, `mft`, `img` and `msvc`. The values of the chart are in [its README][chart].
[scoring](scoring.md) has the variables and metrics of the scoring runtime.

[chart]: ../charts/modelyard/README.md#values
"""


def fields(schema: dict[str, Any], path: str) -> Iterator[str]:
    """Yield a row of the table for each field of an object, and for those within it."""
    required = schema.get("required", ())
    for name, field in sorted(schema.get("properties", {}).items()):
        here = f"{path}.{name}"
        inner = field.get("items", field) if field.get("type") == "array" else field
        suffix = "[]" if inner is not field else ""
        kind = inner.get("type", "any") + suffix
        mark = ", required" if name in required else ""
        text = field.get("description") or inner.get("description", "")
        if options := inner.get("enum"):
            text = f"{text} One of {', '.join(f'`{option}`' for option in options)}.".strip()
        yield f"| `{here}{suffix}` | {kind}{mark} | {text.replace('|', chr(92) + '|')} |\n"
        yield from fields(inner, here + suffix)


def kind_section(plural: str) -> str:
    """Return the section of a kind."""
    crd = yaml.safe_load((CRDS / f"modelyard.dev_{plural}.yaml").read_text(encoding="utf-8"))
    names = crd["spec"]["names"]
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    parts = [schema["properties"][part] for part in ("spec", "status")]
    rows = [row for part, name in zip(parts, ("spec", "status"), strict=True) for row in fields(part, name)]
    return "".join(
        [
            f"\n## {names['kind']}\n{schema['description']} Short name: `{names['shortNames'][0]}`.\n\n",
            "| field | type | |\n|---|---|---|\n",
            *rows,
        ]
    )


def _row(family: Metric, names: Iterable[str]) -> str:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    labels = ", ".join(f"`{label}`" for label in names)
    return f"| `{name}` | {family.type} | {labels} | {family.documentation} |\n"


def _rows_of(module: ModuleType) -> list[str]:
    """Return the rows of the metrics that a module defines."""
    found = [value for value in vars(module).values() if isinstance(value, MetricWrapperBase)]
    return [_row(metric.describe()[0], metric._labelnames) for metric in found]


def metrics_section() -> str:
    """Return the sections of the metrics of operator and gateway."""
    state = [_row(family, family._labelnames) for family in StateFamilies().all()]
    sections = {
        "operator": [*_rows_of(metrics), *state],
        "gateway": _rows_of(gateway_metrics),
    }
    header = "| metric | type | labels | |\n|---|---|---|---|\n"
    return "".join(
        f"\n## Metrics of the {part}\n{header}{''.join(sorted(rows))}" for part, rows in sections.items()
    )


def page() -> str:
    """Return the text of reference.md."""
    return "".join([INTRODUCTION, *(kind_section(plural) for plural in KINDS), metrics_section()])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
