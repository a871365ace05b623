"""The files of a base image: its layers, unpacked one above the other into a folder.

The format is https://github.com/opencontainers/image-spec/blob/main/layer.md. Owners, times, devices and
special modes are left out: the files are for programs of one build.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Final

_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_LEFT_OUT: Final = ("dev/", "proc/", "sys/", "usr/share/doc/", "usr/share/locale/", "usr/share/man/")
"""Folders that no build of a package reads."""
_CHUNK_BYTES: Final = 1024 * 1024
_ELF: Final = b"\x7fELF"


class LayerFiles:
    """A folder with the files of the layers that were added."""

    def __init__(self, root: Path) -> None:
        """Create the folder."""
        root.mkdir(parents=True)
        self._root = Path(os.path.realpath(root))
        self._folders: dict[str, Path | None] = {}
        self.programs: set[Path] = set()
        """The files in the ELF format that some layer has: programs and libraries."""

    def add(self, layer: IO[bytes]) -> None:
        """Unpack a layer, a plain tar. Raises tarfile.TarError and OSError."""
        self._folders.clear()
        with tarfile.open(fileobj=layer, mode="r|") as archive:
            for entry in archive:
                name = os.path.normpath(entry.name.lstrip("/"))
                if not f"{name}/".startswith(_LEFT_OUT):
                    self._add(archive, entry, name)
        while layer.read(_CHUNK_BYTES):
            pass  # the checksum of a compressed layer is at its end

    def _add(self, archive: tarfile.TarFile, entry: tarfile.TarInfo, name: str) -> None:
        parent, _, file = name.rpartition("/")
        folder = self._folder(parent)
        if folder is None or file.removeprefix(_WHITEOUT) in {"", ".", ".."}:
            return
        path = folder / file
        if file == _OPAQUE:
            self._remove(folder.iterdir())
        elif file.startswith(_WHITEOUT):
            self._remove([folder / file.removeprefix(_WHITEOUT)])
        elif entry.isdir():
            if path.is_symlink() or not path.is_dir():
                self._remove([path])
                path.mkdir()
        elif entry.issym():
            self._remove([path])
            path.symlink_to(self._link_target(entry.linkname, folder))
        elif entry.islnk():
            target = self._inner(entry.linkname)
            if target and target.is_file() and target != path:
                self._remove([path])
                path.hardlink_to(target)
        elif entry.isfile() and (content := archive.extractfile(entry)) is not None:
            self._remove([path])
            self._write(path, content, 0o755 if entry.mode & 0o111 else 0o644)

    def _write(self, path: Path, content: IO[bytes], mode: int) -> None:
        start = content.read(_CHUNK_BYTES)
        if start.startswith(_ELF):
            self.programs.add(path)
        with path.open("xb") as file:
            file.write(start)
            shutil.copyfileobj(content, file, _CHUNK_BYTES)
        path.chmod(mode)

    def _folder(self, name: str) -> Path | None:
        """Return an existing or new folder, whose path follows links. None for a path that leads outside."""
        if name not in self._folders:
            self._folders[name] = self._inner(name)
        folder = self._folders[name]
        if folder is not None and not folder.is_dir():
            self._remove([folder])
            folder.mkdir(parents=True)
        return folder

    def _inner(self, name: str) -> Path | None:
        path = Path(os.path.realpath(self._root / name.lstrip("/")))
        return path if path.is_relative_to(self._root) else None

    def _link_target(self, target: str, folder: Path) -> str:
        """Return the target of a symbolic link. An absolute path becomes one that starts at the root."""
        if not target.startswith("/"):
            return target
        return os.path.join(os.path.relpath(self._root, folder), target.lstrip("/"))  # noqa: PTH118

    def _remove(self, paths: Iterable[Path]) -> None:
        for path in paths:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
