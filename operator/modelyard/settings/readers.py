"""Offers of the platform: names with the namespaces that may use each."""

from __future__ import annotations

from typing import Final

EVERY_NAMESPACE: Final = "*"


def offered(readers: dict[str, tuple[str, ...]], namespace: str) -> tuple[str, ...]:
    """Return the sorted names that a namespace may use."""
    matching = {EVERY_NAMESPACE, namespace}
    return tuple(sorted(name for name, namespaces in readers.items() if matching & set(namespaces)))
