"""Timestamps of the Kubernetes API: RFC 3339, in UTC, whole seconds.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/
"""

from __future__ import annotations

import datetime as dt


def format_timestamp(moment: dt.datetime) -> str:
    """Return a moment as the Kubernetes API writes it, e.g. `2026-01-31T12:00:00Z`."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> dt.datetime:
    """Return the moment of a timestamp of the Kubernetes API. Raises ValueError for other text."""
    return dt.datetime.fromisoformat(text)
