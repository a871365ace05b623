"""Numbers of bytes as people read them."""

from __future__ import annotations


def human(size: float) -> str:
    """`1.5 GiB`; whole below 1 KiB."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} TiB"
