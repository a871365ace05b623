"""Archives that are unpacked, and archives that are rejected."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.builder.unpack import (
    Unpacked,
    unpack,
)
from modelyard.contract.errors import (
    ArchiveError,
    ArchiveTooLargeError,
    NotAnArchiveError,
    UnsafeArchiveError,
)

KIB = 1024


def _entry(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    for field, value in fields.items():
        setattr(entry, field, value)
    return entry, content


def _link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return _entry(name, type=tarfile.SYMTYPE, linkname=target)


def _hard(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return _entry(name, type=tarfile.LNKTYPE, linkname=target)


def _folder(name: str) -> tuple[tarfile.TarInfo, bytes]:
    return _entry(name, type=tarfile.DIRTYPE)


def _tar(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for entry, content in entries:
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _zip(entries: dict[str, bytes], mode: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.filename = name  # unchanged: the constructor corrects names
            entry.external_attr = mode << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return buffer.getvalue()


def _patched_zip(signature: bytes, offset: int, value: bytes) -> bytes:
    """Return a zip with other bytes at an offset of the record that begins with the signature."""
    content = bytearray(_zip({"a": b"x"}))
    start = content.index(signature) + offset
    content[start : start + len(value)] = value
    return bytes(content)


def _unpack(
    folder: Path, archive: bytes, *, limit_bytes: int = 100 * KIB, limit_files: int = 100
) -> Unpacked:
    path = folder / "archive"
    path.write_bytes(archive)
    return unpack(path, folder / "out", limit_bytes=limit_bytes, limit_files=limit_files)


def _files(folder: Path) -> dict[str, bytes]:
    out = folder / "out"
    return {
        str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file() and not p.is_symlink()
    }


TWO = {"a.txt": b"1", "deep/er/b.txt": b"22"}
TWO_TAR = _tar(*(_entry(name, content) for name, content in TWO.items()))


@pytest.mark.parametrize(
    "archive",
    [
        pytest.param(TWO_TAR, id="tar"),
        pytest.param(gzip.compress(TWO_TAR), id="tar.gz"),
        pytest.param(bz2.compress(TWO_TAR), id="tar.bz2"),
        pytest.param(lzma.compress(TWO_TAR), id="tar.xz"),
        pytest.param(_zip(TWO), id="zip"),
        pytest.param(_zip({"a.txt": b"1", "deep\\er\\b.txt": b"22"}), id="zip of old .NET"),
        pytest.param(
            _tar(_folder("./"), _entry("./a.txt", b"1"), _entry("deep//er/b.txt", b"22")), id="dots"
        ),
    ],
)
def test_archive_is_unpacked(tmp_path: Path, archive: bytes) -> None:
    unpacked = _unpack(tmp_path, archive)
    assert _files(tmp_path) == TWO
    assert [str(path) for path in unpacked.paths] == ["a.txt", "deep/er/b.txt"]
    assert unpacked.size == 3


def test_tar_that_ends_with_a_zip_is_a_tar(tmp_path: Path) -> None:
    inner = _zip({"x": b"1"})
    _unpack(tmp_path, _tar(_entry("wheel.whl", inner)))
    assert _files(tmp_path) == {"wheel.whl": inner}


def test_files_get_plain_modes_and_the_owner_of_the_process(tmp_path: Path) -> None:
    entries = [_entry("run", b"", mode=0o7777, uid=7), _entry("secret", b"", mode=0o000), _folder("d")]
    entries[2][0].mode = 0o000
    _unpack(tmp_path, _tar(*entries))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()}
    assert modes == {"run": 0o755, "secret": 0o644, "d": 0o755}
    assert (tmp_path / "out/run").stat().st_uid == os.getuid()


def test_later_entry_replaces_an_earlier_one(tmp_path: Path) -> None:
    _unpack(
        tmp_path,
        _tar(_entry("a", b"old"), _hard("b", "a"), _entry("a", b"new"), _link("b", "a"), _entry("b", b"3")),
    )
    assert _files(tmp_path) == {"a": b"new", "b": b"3"}


def test_links_inside_the_archive_are_created(tmp_path: Path) -> None:
    archive = _tar(
        _entry("lib/real.so.1", b"so"),
        _link("lib/real.so", "real.so.1"),
        _link("bin/so", "../lib/real.so"),
        _link("top", "bin/so"),
        _link("up/folder", ".."),
        _hard("copy", "lib/real.so.1"),
    )
    unpacked = _unpack(tmp_path, archive)
    assert (tmp_path / "out/top").read_bytes() == b"so"
    assert (tmp_path / "out/up/folder/copy").read_bytes() == b"so"
    assert unpacked.size == 4
    assert len(unpacked.paths) == 6


UNSAFE: dict[str, tuple[bytes, str]] = {
    "zip-slip": (_zip({"../evil": b"x"}), "'../evil' leads outside"),
    "zip-slip in the middle": (_zip({"a/../../evil": b"x"}), "'a/../../evil'"),
    "zip-slip by backslash": (_zip({"..\\evil": b"x"}), "'../evil'"),
    "absolute in zip": (_zip({"/etc/evil": b"x"}), "'/etc/evil' has an absolute path"),
    "link in zip": (
        _zip({"l": b"/etc/passwd"}, stat.S_IFLNK | 0o777),
        "'l' of the zip is a link or a device",
    ),
    "dots in tar": (_tar(_entry("a/../../evil", b"x")), "'a/../../evil'"),
    "absolute in tar": (_tar(_entry("/etc/evil", b"x")), "'/etc/evil'"),
    "absolute folder": (_tar(_folder("/etc")), "'/etc'"),
    "absolute link": (_tar(_link("l", "/etc/passwd")), "'l' is a link to '/etc/passwd', outside"),
    "link out": (_tar(_link("d/l", "../../etc")), "'d/l'"),
    "link out of the root": (_tar(_link("l", "..")), "'l'"),
    "hidden dots": (_tar(_entry("a/./.././../evil", b"x")), "'a/./.././../evil'"),
    "pax path": (_tar(_entry("a", b"x", pax_headers={"path": "../evil"})), "'../evil'"),
    "pax link": (_tar(_entry("l", type=tarfile.SYMTYPE, pax_headers={"linkpath": "../x"})), "'l' is a link"),
    "chain of links": (
        _tar(_link("a/b", "c"), _link("a/c", "../d"), _link("d", "e/../..")),
        "'d' is a link to 'e/../..'",
    ),
    "long chain of links (CVE-2025-4517)": (
        _tar(_folder("d" * 200), _link("l", "d" * 200), _link("out", "l/" * 15 + "../../..")),
        "'out' is a link",
    ),
    "hard link through a link": (_tar(_link("l", "d"), _hard("h", "l/x")), "no earlier file"),
    "hard link to a replaced file": (
        _tar(_entry("a", b"1"), _link("a", "x"), _hard("h", "a")),
        "no earlier file",
    ),
    "link out by a link": (_tar(_link("a/b/c", "../.."), _link("d", "a/b/c/..")), "'d'"),
    "file through a link": (_tar(_link("l", "d"), _entry("l/evil", b"x")), "'l/evil' is below 'l'"),
    "file below a file": (_tar(_entry("f", b""), _entry("f/x", b"")), "'f/x' is below 'f'"),
    "file over a folder": (_tar(_entry("d/x", b""), _entry("d", b"")), "'d' is a file and a folder"),
    "file as the root": (_tar(_entry(".", b"x")), "'.' is a file and a folder"),
    "hard link out": (_tar(_hard("h", "../evil")), "'../evil' leads outside"),
    "absolute hard link": (_tar(_hard("h", "/etc/passwd")), "'/etc/passwd'"),
    "hard link to a link": (_tar(_link("l", "x"), _hard("h", "l")), "no earlier file"),
    "hard link to nothing": (_tar(_hard("h", "missing")), "no earlier file"),
    "character device": (_tar(_entry("null", type=tarfile.CHRTYPE)), "'null' is a device"),
    "block device": (_tar(_entry("sda", type=tarfile.BLKTYPE)), "'sda' is a device"),
    "pipe": (_tar(_entry("fifo", type=tarfile.FIFOTYPE)), "'fifo' is a device"),
    "long name": (_tar(_entry("n" * 256)), "a name that a file system cannot store"),
    "long path": (_tar(_entry("n/" * 1500 + "n")), "a name that a file system cannot store"),
    "long link": (_tar(_link("l", "n" * 300)), "a name that a file system cannot store"),
    "header bomb": (
        gzip.compress(_tar(_entry("a", pax_headers={"comment": "x" * 2 * KIB * KIB}))),
        "of more than 1 MiB",
    ),
    "later header bomb": (
        _tar(_entry("a", b"1"), _entry("b", pax_headers={"comment": "x" * 2 * KIB * KIB})),
        "of more than 1 MiB",
    ),
}


@pytest.mark.parametrize(("archive", "message"), UNSAFE.values(), ids=UNSAFE.keys())
def test_unsafe_archive_is_rejected(tmp_path: Path, archive: bytes, message: str) -> None:
    with pytest.raises(UnsafeArchiveError) as failure:
        _unpack(tmp_path, archive)
    assert message in str(failure.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "out"]


def _sparse(size: int) -> tuple[tarfile.TarInfo, bytes]:
    headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "sparse"}
    headers |= {"GNU.sparse.map": f"{size},0", "GNU.sparse.realsize": str(size), "GNU.sparse.size": str(size)}
    return _entry("sparse", b"", pax_headers=headers)


def _parts(content: bytes) -> list[bytes]:
    return [content[start : start + KIB] for start in range(0, len(content), KIB)]


def _overlapping(count: int) -> bytes:
    """Return a zip whose directory names the same bytes many times."""
    archive = _zip({"zeros": bytes(2 * KIB)})
    start, end = archive.index(b"PK\x01\x02"), archive.index(b"PK\x05\x06")
    directory = archive[start:end]
    totals = count.to_bytes(2, "little") * 2 + (count * len(directory)).to_bytes(4, "little")
    return archive[:start] + directory * count + archive[end : end + 8] + totals + archive[end + 16 :]


ZEROS = bytes(200 * KIB)
BOMBS: dict[str, bytes] = {
    "zip of zeros": _zip({"zeros": ZEROS}),
    "tar.gz of zeros": gzip.compress(_tar(_entry("zeros", ZEROS))),
    "tar.xz of zeros": lzma.compress(_tar(_entry("zeros", ZEROS))),
    "many files": _tar(*(_entry(f"f{number}") for number in range(101))),
    "many folders": _tar(*(_folder(f"d{number}") for number in range(101))),
    "many links": _tar(*(_link(f"l{number}", "x") for number in range(101))),
    "one deep path": _tar(_entry("/".join("d" * 101))),
    "many files in zip": _zip({f"f{number}": b"" for number in range(101)}),
    "sparse file of 10 TB": _tar(_sparse(10 * KIB**4)),
    "gzip of gzips": b"".join(gzip.compress(part) for part in _parts(_tar(_entry("zeros", ZEROS)))),
    "hard links": _tar(_entry("a", bytes(60 * KIB)), _hard("b", "a")),
}


@pytest.mark.parametrize("archive", BOMBS.values(), ids=BOMBS.keys())
def test_archive_bomb_is_rejected(tmp_path: Path, archive: bytes) -> None:
    with pytest.raises(ArchiveTooLargeError, match="that one build may unpack"):
        _unpack(tmp_path, archive)
    assert sum(map(len, _files(tmp_path).values())) <= 100 * KIB


def test_zip_with_false_sizes_is_rejected(tmp_path: Path) -> None:
    honest = _zip({"zeros": ZEROS})
    size = len(ZEROS).to_bytes(4, "little")
    with pytest.raises(ArchiveError):
        _unpack(tmp_path, honest.replace(size, (10).to_bytes(4, "little")))
    assert sum(map(len, _files(tmp_path).values())) <= 100 * KIB


def test_zip_of_overlapping_entries_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError):
        _unpack(tmp_path, _overlapping(1000))
    assert sum(map(len, _files(tmp_path).values())) <= 100 * KIB


def _damaged(archive: bytes) -> bytes:
    middle = len(archive) // 2
    return (
        archive[:middle]
        + bytes(byte ^ 0xFF for byte in archive[middle : middle + 64])
        + archive[middle + 64 :]
    )


def _encrypted() -> bytes:
    archive = bytearray(_zip({"a": b"1"}))
    archive[archive.index(b"PK\x01\x02") + 8] |= 1
    return bytes(archive)


RANDOM = os.urandom(20 * KIB)
BAD: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"import json\n" * 100,
    "random": lambda: b"\0" + RANDOM,
    "gzip of text": lambda: gzip.compress(b"not a tar" * 100),
    "cut tar": lambda: _tar(_entry("a", RANDOM))[: 10 * KIB],
    "cut tar.gz": lambda: gzip.compress(_tar(_entry("a", RANDOM)))[: 10 * KIB],
    "cut zip": lambda: _zip({"a": RANDOM})[: 10 * KIB],
    "damaged zip": lambda: _damaged(_zip({"a": RANDOM})),
    "damaged tar.gz": lambda: _damaged(gzip.compress(_tar(_entry("a", RANDOM)))),
    "damaged tar.bz2": lambda: _damaged(bz2.compress(_tar(_entry("a", RANDOM)))),
    "damaged tar.xz": lambda: _damaged(lzma.compress(_tar(_entry("a", RANDOM)))),
    "encrypted zip": _encrypted,
    "zip of another version": lambda: _patched_zip(b"PK\x01\x02", 6, b"\xd0\x00"),
    "zip with a negative offset": lambda: _patched_zip(b"PK\x05\x06", 16, b"\xff\xff\x00\x00"),
}


@pytest.mark.parametrize("archive", BAD.values(), ids=BAD.keys())
def test_file_that_is_no_archive_is_rejected(tmp_path: Path, archive: Callable[[], bytes]) -> None:
    with pytest.raises(NotAnArchiveError):
        _unpack(tmp_path, archive())
