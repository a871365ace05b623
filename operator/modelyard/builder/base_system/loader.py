"""The dynamic loader of a base image, for programs that run from a folder.

A program names its loader by an absolute path, and the loader finds libraries by the cache at
`/etc/ld.so.cache`. Both paths would lead to the C library of the image that runs the build. A build has no
right to change its root. So the programs get the path of their own loader, and that loader its own cache. The
variable LD_LIBRARY_PATH is no way: programs of the running image, such as /bin/sh, would read it, too.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

_CACHE_FILE: Final = b"/etc/ld.so.cache\0"
CACHE_PATH_BYTES: Final = len(_CACHE_FILE) - 1
"""Longest path of a cache: the loader has no room for a longer one."""
_LITTLE_ENDIAN_64: Final = b"\x7fELF\x02\x01"
_PROGRAM_HEADERS: Final = struct.Struct("<16xHHIQQQIHHH")
"""The header of elf(5) from e_type to e_phnum."""
_PROGRAM_HEADER: Final = struct.Struct("<IIQQQQQQ")
_INTERPRETER: Final = 3  # PT_INTERP
_MOST_PATH_BYTES: Final = 4096

# https://sourceware.org/git/?p=glibc.git;a=blob;f=sysdeps/generic/dl-cache.h
_CACHE_MAGIC: Final = b"glibc-ld.so.cache1.1"
_CACHE_HEADER: Final = struct.Struct("<20sIIB3xI12x")
_CACHE_ENTRY: Final = struct.Struct("<iIIIQ")
_CACHE_LITTLE_ENDIAN: Final = 2
_CACHE_FLAGS: Final = {62: 0x0303, 183: 0x0A03}
"""Machine of elf(5) → flags of its libraries for this C library."""
_LIBRARY: Final = re.compile(r".*\.so(?:\.[\w.]+)?")
_DEFAULT_FOLDERS: Final = ("/lib64", "/usr/lib64", "/lib", "/usr/lib")
_INCLUDE: Final = "include"


class Loader(NamedTuple):
    """The loader of a base image."""

    path: Path
    machine: int
    """The machine of elf(5)."""


def redirect_programs(root: Path, programs: Iterable[Path], cache: str) -> Loader | None:
    """Give programs the path of their loader below `root`, and the loader the path of its cache.

    Returns None if the root has no program whose loader reads such a cache, for example with musl. Raises
    ValueError for a path of more than CACHE_PATH_BYTES.
    """
    if len(cache.encode()) > CACHE_PATH_BYTES:
        raise ValueError(f"the path {cache} of the cache has more than {CACHE_PATH_BYTES} bytes")
    found: Loader | None = None
    done: set[tuple[int, int]] = set()
    for program in programs:
        if program.is_symlink() or not program.is_file():  # a later layer has removed it
            continue
        identity = program.stat()
        if (identity.st_dev, identity.st_ino) not in done:
            done.add((identity.st_dev, identity.st_ino))
            found = _redirect(root, program) or found
    if found is None or found.machine not in _CACHE_FLAGS:
        return None
    content = found.path.read_bytes()
    if _CACHE_FILE not in content:
        return None
    own = cache.encode().ljust(len(_CACHE_FILE), b"\0")
    found.path.write_bytes(content.replace(_CACHE_FILE, own))
    return found


def _redirect(root: Path, program: Path) -> Loader | None:
    """Give a program the path of its loader, and return the loader. None if it has none below the root.

    The path stands at the end of the file. The kernel reads it from there, and no address changes.
    """
    with program.open("r+b") as file:
        start = file.read(_PROGRAM_HEADERS.size)
        if len(start) < _PROGRAM_HEADERS.size or not start.startswith(_LITTLE_ENDIAN_64):
            return None
        _, machine, _, _, offset, _, _, _, size, count = _PROGRAM_HEADERS.unpack(start)
        if size != _PROGRAM_HEADER.size:
            return None
        for number in range(count):
            place = offset + number * size
            file.seek(place)
            fields = list(_PROGRAM_HEADER.unpack(file.read(size)))
            if fields[0] == _INTERPRETER:
                file.seek(fields[2])
                path = file.read(min(fields[5], _MOST_PATH_BYTES)).rstrip(b"\0").decode()
                loader = Path(os.path.realpath(root / path.lstrip("/")))
                if not (loader.is_relative_to(root) and loader.is_file()):
                    return None
                own = os.fsencode(loader) + b"\0"
                fields[2], fields[5] = file.seek(0, os.SEEK_END), len(own)
                file.write(own)
                file.seek(place)
                file.write(_PROGRAM_HEADER.pack(*fields))
                return Loader(loader, machine)
    return None


def write_loader_cache(root: Path, loader: Loader, file: Path) -> None:
    """Write the list of all libraries below `root`, as the program `ldconfig` does."""
    libraries: dict[str, str] = {}
    for folder in _library_folders(root, loader):
        for library in sorted(folder.iterdir()):
            if _LIBRARY.fullmatch(library.name) and library.is_file():
                libraries.setdefault(library.name, str(library))
    names = sorted(libraries, key=_cache_order, reverse=True)
    strings = bytearray()
    entries = bytearray()
    start = _CACHE_HEADER.size + _CACHE_ENTRY.size * len(names)
    for name in names:
        offsets = []
        for text in (name, libraries[name]):
            offsets.append(start + len(strings))
            strings += os.fsencode(text) + b"\0"
        entries += _CACHE_ENTRY.pack(_CACHE_FLAGS[loader.machine], *offsets, 0, 0)
    header = _CACHE_HEADER.pack(_CACHE_MAGIC, len(names), len(strings), _CACHE_LITTLE_ENDIAN, 0)
    file.write_bytes(header + entries + strings)


def _library_folders(root: Path, loader: Loader) -> Iterator[Path]:
    """Yield the folders of libraries: those of ld.so.conf, that of the loader, and the default ones."""
    folders = [*_configured(root, root / "etc/ld.so.conf"), loader.path.parent]
    folders += [root / folder.lstrip("/") for folder in _DEFAULT_FOLDERS]
    for folder in dict.fromkeys(map(os.path.realpath, folders)):
        path = Path(folder)
        if path.is_relative_to(root) and path.is_dir():
            yield path


def _configured(root: Path, file: Path, *, includes: bool = True) -> Iterator[Path]:
    if not file.is_file():
        return
    for line in file.read_text(errors="replace").splitlines():
        words = line.partition("#")[0].split()
        if len(words) > 1 and words[0] == _INCLUDE and includes:
            for pattern in words[1:]:
                inner = pattern.lstrip("/") if pattern.startswith("/") else f"etc/{pattern}"
                for found in sorted(root.glob(inner)):
                    yield from _configured(root, found, includes=False)
        elif words and words[0].startswith("/"):
            yield root / words[0].lstrip("/")


def _cache_order(name: str) -> list[tuple[int, int]]:
    """Return the place of a name in the order of the cache: numbers by their value, and after characters."""
    parts = re.findall(r"\d+|\D", name)
    return [(1, int(part)) if part.isdecimal() else (0, ord(part)) for part in parts]
