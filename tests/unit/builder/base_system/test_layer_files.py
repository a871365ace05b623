"""The layers of a base image become the files that a container of the image would see."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from tests.support.base_layer import Content, layer_of

from modelyard.builder.base_system.layer_files import LayerFiles


def _unpack(root: Path, *layers: dict[str, Content]) -> LayerFiles:
    files = LayerFiles(root)
    for layer in layers:
        files.add(io.BytesIO(layer_of(layer)))
    return files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def test_later_layer_replaces_and_removes_files(root: Path) -> None:
    _unpack(
        root,
        {"a/kept": b"1", "a/replaced": b"1", "a/removed": b"1", "b/old": b"1", "c/d/e": b"1"},
        {"a/replaced": b"2", "a/.wh.removed": b"", "b/.wh..wh..opq": b"", "b/new": b"2", ".wh.c": b""},
    )
    found = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert found == {"a/kept": b"1", "a/replaced": b"2", "b/new": b"2"}


def test_absolute_link_stays_in_the_root(root: Path) -> None:
    _unpack(root, {"usr/lib/libc.so": b"own", "lib": "/usr/lib"}, {"lib/new": b"2"})
    assert (root / "lib/libc.so").read_bytes() == b"own"
    assert (root / "usr/lib/new").read_bytes() == b"2"


def test_folder_in_the_place_of_a_link_or_file_replaces_it(root: Path) -> None:
    _unpack(root, {"link": "/usr", "file": b"1", "usr": None}, {"link": None, "file/inner": b"2"})
    assert not (root / "link").is_symlink()
    assert (root / "file/inner").read_bytes() == b"2"


def test_no_entry_is_written_outside_of_the_root(root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    _unpack(
        root,
        {
            ".wh...": b"",
            ".wh..": b"",
            "../outside/a": b"1",
            "/../outside/b": b"1",
            "up": "../outside",
            "up/c": b"1",
            "x/../../outside/d": b"1",
        },
    )
    assert not list((tmp_path / "outside").iterdir())


def test_hard_link_devices_and_modes(root: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo("program")
        entry.mode, entry.size = 0o4755, 1
        archive.addfile(entry, io.BytesIO(b"1"))
        for name, kind, target in (
            ("hard", tarfile.LNKTYPE, "program"),
            ("outer", tarfile.LNKTYPE, "../secret"),
            ("null", tarfile.CHRTYPE, ""),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            archive.addfile(entry)
    (root.parent / "secret").write_text("secret")
    LayerFiles(root).add(io.BytesIO(out.getvalue()))
    assert sorted(path.name for path in root.iterdir()) == ["hard", "program"]
    assert (root / "hard").samefile(root / "program")
    assert (root / "program").stat().st_mode & 0o7777 == 0o755


def test_programs_are_the_files_in_the_elf_format(root: Path) -> None:
    files = _unpack(root, {"bin/program": b"\x7fELF and so on", "bin/script": b"#!/bin/sh\n"})
    assert files.programs == {root / "bin/program"}
