"""Sizes in bytes, formatted for people."""

from __future__ import annotations


def human(size: float) -> str:
    """Return a size in bytes with its unit, `1.5 GiB` for example."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} TiB"
