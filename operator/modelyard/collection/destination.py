"""The destination of a replica's rows: the namespace's Secret, as a mounted folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

HASH_KEY: Final = "hashKey"
STORAGE_URL: Final = "storageUrl"
STORAGE_CA: Final = "storageCa"

_CURRENT: Final = "..data"
"""The link that the kubelet replaces when the Secret changes: all keys change at once."""
_MAX_BYTES: Final = 1024 * 1024
"""The limit of a Secret in Kubernetes."""


def read_secret(folder: Path | None) -> Mapping[str, str]:
    """Return the keys of the mounted Secret with their values, empty without a Secret.

    Values lose blanks and line ends around them, which editors add. A value that is no text is left out.
    Raises OSError if the Secret changes during the call.
    """
    if folder is None or not folder.is_dir():
        return {}
    current = folder / _CURRENT
    keys = current.resolve(strict=True) if current.exists() else folder
    values: dict[str, str] = {}
    for path in sorted(keys.iterdir()):
        if path.name.startswith("..") or not path.is_file():
            continue
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES)
        try:
            values[path.name] = content.decode().strip()
        except UnicodeDecodeError:
            continue
    return values
