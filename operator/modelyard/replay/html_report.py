"""The report of a replay as one HTML file, which needs no other file and no network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

from modelyard.replay.chart import latency_chart
from modelyard.replay.report import Report, milliseconds, number, share
from modelyard.replay.tally import Tally

# Colours of the Okabe-Ito palette, which colour-blind people can tell apart, at a contrast of 4.5 or more.
_STYLE: Final = """
:root { color-scheme: light dark; --text: #1b1f24; --page: #ffffff; --rule: #d0d7de; --muted: #57606a;
  --before: #0072b2; --now: #b34700; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --page: #0d1117; --rule: #30363d;
  --muted: #9da7b1; --before: #56b4e9; --now: #e69f00; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page);
  max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; color: var(--muted); padding-bottom: .3rem; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--rule);
  overflow-wrap: anywhere; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
meter { width: 8rem; } svg { width: 100%; height: auto; }
svg text { fill: var(--text); font: 12px system-ui, sans-serif; }
.grid { stroke: var(--rule); } .line { fill: none; stroke-width: 2; }
.line0 { stroke: var(--before); } .line1 { stroke: var(--now); stroke-dasharray: 6 3; }
svg .label0 { fill: var(--before); font-weight: 600; } svg .label1 { fill: var(--now); font-weight: 600; }
"""
_LATENCIES: Final = {"before": "collected", "now": "now (dashed)"}


def html_report(report: Report, tally: Tally) -> str:
    """Return the page of a report, with the distributions of the tally as a chart."""
    equal, compared = report["equal"], report["compared"]
    chart = latency_chart(dict(zip(_LATENCIES.values(), (tally.before, tally.now), strict=True)))
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Replay: {share(equal, compared)} equal</title><style>{_STYLE}</style></head><body><main>",
        f"<h1>Replay: {share(equal, compared)} of {compared} responses are equal</h1>",
        "" if report["complete"] else "<p><strong>The replay ended early.</strong></p>",
        _table("Settings", ("setting", "value"), report["settings"].items()),
        "<h2>Rows</h2>",
        _table("Rows of the window", ("result", "rows", "share"), _results(report), numbers=(1, 2)),
        "<h2>Differences by column</h2>",
        _columns(report["columns"]),
        "<h2>Changed statuses</h2>",
        _changes(report["statusChanges"]),
        "<h2>Latency</h2>",
        chart,
        _latency(report["latencySeconds"]),
        _examples(report["examples"]),
        "</main></body></html>\n",
    ]
    return "\n".join(part for part in parts if part)


def _results(report: Report) -> list[tuple[Any, ...]]:
    rows = report["rows"]
    counts = {"equal": report["equal"], "different": report["different"]}
    counts |= {f"no result: {reason}": count for reason, count in report["unanswered"].items()}
    counts |= {f"skipped: {reason}": count for reason, count in report["skipped"].items()}
    return [(name, count, share(count, rows)) for name, count in counts.items()]


def _columns(columns: Sequence[dict[str, Any]]) -> str:
    if not columns:
        return "<p>No column differs.</p>"
    names = ("column", "rows", "share of the compared rows", "mean difference", "maximum difference")
    head = "".join(
        f'<th scope="col"{_numeric(index in {1, 3, 4})}>{name}</th>' for index, name in enumerate(names)
    )
    body = "".join(
        f'<tr><th scope="row">{escape(one["column"])}</th><td class="n">{one["rows"]}</td>'
        f'<td><meter min="0" max="1" value="{one["share"] or 0:.6f}" aria-hidden="true"></meter>'
        f" {100 * (one['share'] or 0):.4g} %</td>"
        f'<td class="n">{number(one["meanDifference"])}</td>'
        f'<td class="n">{number(one["maximumDifference"])}</td></tr>'
        for one in columns
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _changes(changes: Sequence[dict[str, int]]) -> str:
    if not changes:
        return "<p>No status changed.</p>"
    rows = [(one["before"], one["now"], one["rows"]) for one in changes]
    return _table("Responses with another status", ("collected", "now", "rows"), rows, numbers=(2,))


def _latency(latencies: dict[str, dict[str, float | None]]) -> str:
    rows = [(_LATENCIES[name], *map(milliseconds, one.values())) for name, one in latencies.items()]
    caption = "Milliseconds: collected in the Service, now at this client with its network"
    return _table(caption, ("", "p50", "p95", "p99"), rows, numbers=(1, 2, 3))


def _examples(examples: Sequence[dict[str, str]]) -> str:
    if not examples:
        return ""
    rows = [(one["requestId"], one["column"], one["before"], one["now"]) for one in examples]
    return "<h2>Examples</h2>" + _table(
        "The first differences", ("request id", "column", "collected", "now"), rows
    )


def _table(
    caption: str, names: Sequence[str], rows: Iterable[Sequence[Any]], numbers: Sequence[int] = ()
) -> str:
    head = "".join(
        f'<th scope="col"{_numeric(index in numbers)}>{name}</th>' for index, name in enumerate(names)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{_numeric(index in numbers)}>{escape(str(cell))}</td>" for index, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _numeric(numeric: bool) -> str:
    return ' class="n"' if numeric else ""
