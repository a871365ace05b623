"""The trace span of a scoring request, in the terms of W3C Trace Context."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Span:
    """The trace span of one scoring request."""

    trace_id: str
    span_id: str
    parent_id: str
    started_at: float
    """time.time(), seconds since the epoch."""
    request_id: str
    method: str
    status: int = 0
    seconds: float = 0.0

    @property
    def traceparent(self) -> str:
        """Return the header (W3C Trace Context) that makes this span the parent of the driver's spans."""
        return f"00-{self.trace_id}-{self.span_id}-01"
