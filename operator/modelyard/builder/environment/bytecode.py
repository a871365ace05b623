"""Byte code that stays valid in an image, where all files have one time."""

from __future__ import annotations

from pathlib import Path
from typing import Final

# Magic number, flags, then the time and the size of the source, or a hash of it (https://peps.python.org/pep-0552/).
_MAGIC_BYTES: Final = 4
_HEADER_BYTES: Final = 16
_UNCHECKED_HASH: Final = (1).to_bytes(4, "little")


def unchecked(file: Path) -> None:
    """Make a compiled module one that is used without a look at its source, which cannot change in an image.

    Python would take it for older than its source otherwise, and compile that at each start.
    """
    content = file.read_bytes()
    if len(content) <= _HEADER_BYTES:
        return
    # A hash is not looked at, so none is computed; nor could it be for another version of Python.
    head = (
        content[:_MAGIC_BYTES] + _UNCHECKED_HASH + bytes(_HEADER_BYTES - _MAGIC_BYTES - len(_UNCHECKED_HASH))
    )
    replacement = file.with_name(f"{file.name}.new")
    replacement.write_bytes(head + content[_HEADER_BYTES:])
    replacement.replace(file)  # not in place: the file is a link into the packages' cache
