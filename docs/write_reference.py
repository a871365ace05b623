"""Write reference.md: fields of the four kinds, environment variables, HTTP errors and metrics."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from string import Formatter
from types import ModuleType
from typing import Any

import yaml
from prometheus_client import Metric
from prometheus_client.metrics import MetricWrapperBase

from modelyard import metrics
from modelyard.activator import metrics as activator_metrics
from modelyard.controller.state_metrics import StateFamilies
from modelyard.gateway import error_codes
from modelyard.gateway import metrics as gateway_metrics
from modelyard.scaler import metrics as scaler_metrics
from modelyard.scaler.zero import metrics as zero_metrics
from modelyard.scoring import contract
from modelyard.scoring.front import errors

PAGE = Path(__file__).parent / "reference.md"
CRDS = Path(__file__).parents[1] / "crds"
KINDS = ("models", "manifests", "images", "services")
INTRODUCTION = """\
# Reference

Written by `make docs`. `kubectl explain msvc.spec.autoScaler` has the same texts. The short names of
the kinds are `mdl`, `mft`, `img` and `msvc`. The values of the chart are in [its README][chart].
[scoring](scoring.md#logs-metrics-and-traces) has the metrics of the scoring runtime.

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
    """Return the sections of the metrics of operator, gateway and scaler."""
    state = [_row(family, family._labelnames) for family in StateFamilies().all()]
    sections = {
        "operator": [*_rows_of(metrics), *state],
        "gateway": _rows_of(gateway_metrics),
        "activator": _rows_of(activator_metrics),
        "scaler": [*_rows_of(scaler_metrics), *_rows_of(zero_metrics)],
    }
    header = "| metric | type | labels | |\n|---|---|---|---|\n"
    return "".join(
        f"\n## Metrics of the {part}\n{header}{''.join(sorted(rows))}" for part, rows in sections.items()
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def variables() -> Iterator[tuple[str, str]]:
    """Yield name and text of each environment variable."""
    module = ast.parse(Path(contract.__file__).read_text(encoding="utf-8"))
    (body,) = (
        node.body for node in module.body if isinstance(node, ast.ClassDef) and node.name == "Variable"
    )
    for node, following in pairwise([*body, ast.Pass()]):
        if isinstance(node, ast.AnnAssign) and node.value:
            text = ast.literal_eval(following.value) if isinstance(following, ast.Expr) else ""
            yield ast.literal_eval(node.value), text


def variables_section() -> str:
    """Return the section of the environment variables of the scoring runtime."""
    rows = [f"| `{name}` | {_cell(text)} |\n" for name, text in variables()]
    heading = "\n## Environment variables of the scoring runtime\n"
    note = "An invalid value ends the process with exit code 3, and the log names the variable.\n\n"
    return "".join([heading, note, "| variable | meaning |\n|---|---|\n", *sorted(rows)])


def scoring_errors_section() -> str:
    """Return the section of the HTTP errors of the scoring runtime."""
    found = [error for error in vars(errors).values() if isinstance(error, errors.HttpError)]
    rows = [
        f"| {error.status} | `{_cell(_shown(error.message))}` | {_cell(error.way_out)} |\n"
        for error in sorted(found, key=lambda error: error.status)
    ]
    heading = "\n## HTTP errors of the scoring runtime\n"
    note = 'Each body is `{"message": …}`, and `{"error": …}` below `/v2`. `…` stands for a value.\n\n'
    return "".join([heading, note, "| status | message | way out |\n|---|---|---|\n", *rows])


def gateway_errors_section() -> str:
    """Return the section of the errors of the REST API."""
    found = [error for error in vars(error_codes).values() if isinstance(error, error_codes.ErrorCode)]
    rows = [
        f"| {error.status} | `{error.code}` | {_cell(error.way_out)} |\n"
        for error in sorted(found, key=lambda error: (error.status, error.code))
    ]
    heading = "\n## Errors of the REST API\n"
    note = "[The REST API](rest-api.md#errors) has the form of a body.\n\n"
    return "".join([heading, note, "| status | code | way out |\n|---|---|---|\n", *rows])


def _shown(message: str) -> str:
    """Return a message with an ellipsis for each of its fields."""
    return "…".join(literal for literal, _, _, _ in Formatter().parse(message)) + (
        "…" if message.endswith("}") else ""
    )


def page() -> str:
    """Return the text of reference.md."""
    return "".join(
        [
            INTRODUCTION,
            *(kind_section(plural) for plural in KINDS),
            variables_section(),
            scoring_errors_section(),
            gateway_errors_section(),
            metrics_section(),
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
