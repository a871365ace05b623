"""Layers of a base image, made of files of this machine."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

Content = bytes | str | None
"""Bytes of a file, the target of a symbolic link, or None for a folder."""


def layer_of(files: Mapping[str, Content], modes: Mapping[str, int] | None = None) -> bytes:
    """Return a plain tar. Files are executable unless `modes` has another mode."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.mode = (modes or {}).get(path, 0o755)
            if content is None:
                entry.type = tarfile.DIRTYPE
                archive.addfile(entry)
            elif isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                archive.addfile(entry)
            else:
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def program_files(*names: str) -> dict[str, Content]:
    """Return programs of this machine with their libraries and loader, by paths as in Debian."""
    programs = [Path(str(shutil.which(name))).resolve() for name in names]
    files: dict[str, Content] = {
        f"usr/bin/{name}": path.read_bytes() for name, path in zip(names, programs, strict=True)
    }
    for library in _libraries(programs):
        files[str(library).lstrip("/")] = library.read_bytes()
    return files


def _libraries(programs: Iterable[Path]) -> set[Path]:
    text = subprocess.run(["ldd", *programs], check=True, capture_output=True, text=True).stdout
    return {Path(path) for path in re.findall(r"(/\S+) \(0x", text)}
