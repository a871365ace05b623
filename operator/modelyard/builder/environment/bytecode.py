"""Compiled modules (.pyc files) that stay valid in an image, whose files all have one modification time."""

from __future__ import annotations

from pathlib import Path
from typing import Final

# A .pyc file begins with a magic number and flags. Then come the source's time and size, or the source's hash
# (https://peps.python.org/pep-0552/).
_MAGIC_BYTES: Final = 4
_HEADER_BYTES: Final = 16
_UNCHECKED_HASH: Final = (1).to_bytes(4, "little")


def make_unchecked(file: Path) -> None:
    """Change the header of a .pyc file so that Python never compares the module with its source.

    Otherwise Python would find another modification time in the image, and compile the module at each start.
    A symbolic link stays unchanged: a package chooses its target, which may be any file of the builder.
    """
    if file.is_symlink() or not file.is_file():
        return
    content = file.read_bytes()
    if len(content) <= _HEADER_BYTES:
        return
    # The hash stays zero: Python does not read it, and the hash function depends on the version of Python.
    padding = bytes(_HEADER_BYTES - _MAGIC_BYTES - len(_UNCHECKED_HASH))
    header = content[:_MAGIC_BYTES] + _UNCHECKED_HASH + padding
    # A new file takes the place of the old one, which is a hard link into the cache of packages.
    replacement = file.with_name(f"{file.name}.new")
    replacement.write_bytes(header + content[_HEADER_BYTES:])
    replacement.replace(file)
