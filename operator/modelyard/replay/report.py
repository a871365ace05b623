"""The report of a replay: a JSON document, and a table for the terminal."""

from __future__ import annotations

import math
from typing import Any, Final

from modelyard.replay.comparison import printable
from modelyard.replay.distribution import Distribution
from modelyard.replay.tally import Column, Tally

_PERCENTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_SHOWN_COLUMNS: Final = 20
_SHOWN_EXAMPLES: Final = 3

Report = dict[str, Any]


def make_report(tally: Tally, settings: dict[str, Any], seconds: float, *, complete: bool) -> Report:
    """Return the figures of a replay as a JSON document. `settings` are the arguments of the command."""
    columns = sorted(tally.columns.items(), key=lambda one: (-one[1].rows, one[0]))
    return {
        "settings": settings,
        "complete": complete,
        "seconds": round(seconds, 3),
        "rows": tally.rows,
        "compared": tally.answered,
        "equal": tally.equal,
        "different": tally.different,
        "agreement": tally.equal / tally.answered if tally.answered else None,
        "unanswered": dict(tally.unanswered),
        "skipped": dict(tally.skipped),
        "retries": tally.retries,
        "statusChanges": [
            {"before": before, "now": now, "rows": rows}
            for (before, now), rows in tally.statuses.most_common()
        ],
        "columns": [_column(name, column, tally.answered) for name, column in columns],
        "examples": [
            {"requestId": one.request_id, "column": one.difference.column}
            | {"before": one.difference.before, "now": one.difference.after}
            for one in tally.examples
        ],
        "latencySeconds": {"before": _percentiles(tally.before), "now": _percentiles(tally.now)},
    }


def text_report(report: Report) -> str:
    """Return the report as lines for a terminal."""
    compared, rows = report["compared"], report["rows"]
    lines = ["" if report["complete"] else "The replay ended early. It did this:"]
    lines.append(f"{rows} rows in {report['seconds']:.1f} s, {compared} compared")
    lines.append(f"equal      {report['equal']:>10}  {share(report['equal'], compared)}")
    lines.append(f"different  {report['different']:>10}  {share(report['different'], compared)}")
    lines += [f"no result  {count:>10}  {reason}" for reason, count in report["unanswered"].items()]
    lines += [f"skipped    {count:>10}  {reason}" for reason, count in report["skipped"].items()]
    if report["statusChanges"]:
        lines += ["", "STATUS BEFORE  NOW        ROWS"]
        lines += [
            f"{one['before']:<13}  {one['now']:<3}  {one['rows']:>10}" for one in report["statusChanges"]
        ]
    lines += _column_lines(report["columns"])
    if report["examples"]:
        lines += ["", "EXAMPLES"]
        for one in report["examples"][:_SHOWN_EXAMPLES]:
            lines.append(f"{printable(one['requestId'])}  {one['column']}: {one['before']} -> {one['now']}")
    lines += ["", "LATENCY ms         P50       P95       P99"]
    for name, values in report["latencySeconds"].items():
        lines.append(f"{name:<10}  " + "  ".join(f"{milliseconds(values[key]):>8}" for key in _PERCENTILES))
    return "\n".join(lines).lstrip("\n") + "\n"


def share(part: int, whole: int) -> str:
    """Return a share in percent; 100 % only for all, and 0 % only for none."""
    if not whole:
        return "-"
    percent = 100 * part / whole
    if part != whole:
        percent = min(percent, 99.99)
    if part:
        percent = max(percent, 0.01)
    return f"{math.floor(percent * 100 + 0.5) / 100:g} %"


def milliseconds(seconds: float | None) -> str:
    """Return seconds as milliseconds with three digits, `-` for None."""
    return "-" if seconds is None else f"{seconds * 1000:.3g}"


def number(value: float | None) -> str:
    """Return a number with four digits, `-` for None."""
    return "-" if value is None else f"{value:.4g}"


def _column(name: str, column: Column, compared: int) -> dict[str, Any]:
    return {
        "column": name,
        "rows": column.rows,
        "share": column.rows / compared if compared else None,
        "values": column.values,
        "meanDifference": column.mean,
        "maximumDifference": column.largest if column.numbers else None,
    }


def _column_lines(columns: list[dict[str, Any]]) -> list[str]:
    if not columns:
        return []
    width = max(len("COLUMN"), *(len(one["column"]) for one in columns[:_SHOWN_COLUMNS]))
    lines = ["", f"{'COLUMN':<{width}}  {'ROWS':>10}  {'SHARE':>8}  {'MEAN DIFF':>10}  {'MAX DIFF':>10}"]
    for one in columns[:_SHOWN_COLUMNS]:
        part = f"{100 * (one['share'] or 0):.4g} %"
        mean, largest = number(one["meanDifference"]), number(one["maximumDifference"])
        lines.append(f"{one['column']:<{width}}  {one['rows']:>10}  {part:>8}  {mean:>10}  {largest:>10}")
    if len(columns) > _SHOWN_COLUMNS:
        lines.append(f"… and {len(columns) - _SHOWN_COLUMNS} more columns: --json or --html has them")
    return lines


def _percentiles(distribution: Distribution) -> dict[str, float | None]:
    return {name: distribution.percentile(part) for name, part in _PERCENTILES.items()}
