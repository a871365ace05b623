"""Charts of a replay as SVG, in the colours of the page that holds them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Final

from modelyard.replay.distribution import Distribution

_WIDTH: Final = 640
_HEIGHT: Final = 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 16, 12, 40
_SHARES: Final = (0, 0.25, 0.5, 0.75, 1)
_MIN_DECADES: Final = 1


def latency_chart(distributions: Mapping[str, Distribution]) -> str:
    """Return a chart of cumulative distributions by name: share of requests over latency, on a log scale."""
    steps = {name: one.steps() for name, one in distributions.items() if one.count}
    if not steps:
        return ""
    low = math.floor(math.log10(min(line[0][0] for line in steps.values())))
    high = math.ceil(math.log10(max(line[-1][0] for line in steps.values())))
    high = max(high, low + _MIN_DECADES)

    def x(seconds: float) -> float:
        return _LEFT + (math.log10(seconds) - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def y(part: float) -> float:
        return _HEIGHT - _BOTTOM - part * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="latency-title">',
        '<title id="latency-title">Share of requests that were answered within a latency</title>',
    ]
    for part in _SHARES:
        parts.append(_line(_LEFT, y(part), _WIDTH - _RIGHT, y(part), "grid"))
        parts.append(_text(_LEFT - 6, y(part) + 4, f"{part:.0%}", "end"))
    for power in range(low, high + 1):
        parts.append(_line(x(10**power), _TOP, x(10**power), _HEIGHT - _BOTTOM, "grid"))
        parts.append(_text(x(10**power), _HEIGHT - _BOTTOM + 16, _tick(10**power), "middle"))
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, "latency", "middle"))
    for index, (name, line) in enumerate(steps.items()):
        total = line[-1][1]
        points = " ".join(f"{x(value):.1f},{y(reached / total):.1f}" for value, reached in line)
        first = f"{x(line[0][0]):.1f},{y(0):.1f}"
        parts.append(f'<polyline class="line line{index}" points="{first} {points}"/>')
        parts.append(_text(_LEFT + 10, _TOP + 16 + 18 * index, name, "start", f"label{index}"))
    return "\n".join([*parts, "</svg>"])


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _tick(seconds: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= factor * 0.999:
            return f"{seconds / factor:.0f} {unit}"
    return f"{seconds * 1e6:.0f} µs"
