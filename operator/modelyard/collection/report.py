"""The pages /state and /metrics, from the states of the sinks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from modelyard.collection.status import SinkState
from modelyard.scoring.spool.counts import SPOOL_FULL

SPOOL_FULL_REASON: Final = "SpoolFull"
NO_RECORDS: Final = "NoRecords"
HASH_KEY_MISSING: Final = "HashKeyMissing"
_INFINITE_SECONDS: Final = 1e9


@dataclass(frozen=True)
class Report:
    """All that the pages tell."""

    sinks: Mapping[str, SinkState]
    spool_full: bool
    """Records were dropped within the last minutes, since the spool was full."""
    no_records: bool
    """The scoring container has not opened a file of the spool."""
    hash_key_missing: bool
    resident_bytes: int
    cpu_seconds: float


def state_page(report: Report) -> tuple[str, bytes]:
    """Return the media type and the JSON of /state."""
    reason, message = _trouble(report)
    dropped: dict[str, int] = {}
    for state in report.sinks.values():
        for cause, count in state.totals.dropped.items():
            dropped[cause] = max(dropped.get(cause, 0), count)
    page = {
        "state": "Degraded" if reason else "Working",
        "reason": reason or "Working",
        "message": message or "all records are delivered",
        "rows": {name: state.totals.rows for name, state in report.sinks.items()},
        "dropped": dropped,
        "sinks": {name: _sink(state) for name, state in report.sinks.items()},
    }
    return "application/json", orjson.dumps(page)


def metrics_page(report: Report) -> tuple[str, bytes]:
    """Return the media type and the text of /metrics."""
    lines = _Lines()
    sinks = report.sinks.items()
    lines.metric(
        "modelyard_collector_rows_total",
        "counter",
        "Rows that the sink has.",
        {f'{{sink="{name}"}}': state.totals.rows for name, state in sinks},
    )
    lines.metric(
        "modelyard_collector_bytes_total",
        "counter",
        "Bytes that were sent to the sink.",
        {f'{{sink="{name}"}}': state.totals.size for name, state in sinks},
    )
    lines.metric(
        "modelyard_collector_dropped_total",
        "counter",
        "Records that the sink will never have.",
        {
            f'{{sink="{name}",reason="{reason}"}}': count
            for name, state in sinks
            for reason, count in _with_zero(state.totals.dropped).items()
        },
    )
    lines.metric(
        "modelyard_collector_answered_total",
        "counter",
        "Requests and calls of collect() that the writers have counted.",
        {f'{{sink="{name}"}}': state.totals.answered for name, state in sinks},
    )
    lines.metric(
        "modelyard_collector_sampled_out_total",
        "counter",
        "Records that are not among the samples.",
        {f'{{sink="{name}"}}': state.totals.sampled_out for name, state in sinks},
    )
    lines.metric(
        "modelyard_collector_failures_total",
        "counter",
        "Failed attempts to deliver a batch.",
        {
            f'{{sink="{name}",reason="{reason}"}}': count
            for name, state in sinks
            for reason, count in state.failures.items()
        },
    )
    lines.metric(
        "modelyard_collector_degraded",
        "gauge",
        "1 while the last attempt of the sink has failed.",
        {f'{{sink="{name}"}}': int(bool(state.reason)) for name, state in sinks},
    )
    lines.metric(
        "modelyard_collector_backlog_bytes",
        "gauge",
        "Records of the spool that a sink does not have.",
        {"": max((state.backlog_bytes for _, state in sinks), default=0)},
    )
    lines.metric(
        "modelyard_collector_backlog_oldest_seconds",
        "gauge",
        "Age of the oldest of these records.",
        {f'{{sink="{name}"}}': min(state.oldest_seconds, _INFINITE_SECONDS) for name, state in sinks},
    )
    lines.metric(
        "process_resident_memory_bytes",
        "gauge",
        "Resident memory of the collecting process.",
        {"": report.resident_bytes},
    )
    lines.metric(
        "process_cpu_seconds_total",
        "counter",
        "CPU time of the collecting process.",
        {"": report.cpu_seconds},
    )
    return "text/plain; version=0.0.4; charset=utf-8", lines.text()


def _trouble(report: Report) -> tuple[str, str]:
    """Return the most important reason and its message, empty texts for none."""
    for state in report.sinks.values():
        if state.reason:
            return state.reason, state.message
    if report.spool_full:
        return SPOOL_FULL_REASON, "the spool was full, and the newest records were dropped: see its limit"
    if report.hash_key_missing:
        return HASH_KEY_MISSING, "fields are left out instead of hashed: set the key hashKey of the Secret"
    if report.no_records:
        return NO_RECORDS, "the image has a runtime that collects no data: build the image again"
    return "", ""


def _sink(state: SinkState) -> dict[str, Any]:
    return {
        "reason": state.reason or "Working",
        "message": state.message,
        "rows": state.totals.rows,
        "dropped": state.totals.dropped,
        "answered": state.totals.answered,
        "sampledOut": state.totals.sampled_out,
        "backlogBytes": state.backlog_bytes,
        "oldestSeconds": min(state.oldest_seconds, _INFINITE_SECONDS),
    }


def _with_zero(dropped: Mapping[str, int]) -> Mapping[str, int]:
    """Return the counters with one that exists from the start: an alert on its growth needs two samples."""
    return {SPOOL_FULL: 0, **dropped}


class _Lines:
    """The text format of Prometheus: https://prometheus.io/docs/instrumenting/exposition_formats/."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def metric(self, name: str, kind: str, meaning: str, samples: Mapping[str, float]) -> None:
        """Add a metric. The keys of `samples` are its labels in braces."""
        self._lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
        self._lines += [f"{name}{labels} {value}" for labels, value in samples.items()]

    def text(self) -> bytes:
        """Return the page."""
        return ("\n".join(self._lines) + "\n").encode()
