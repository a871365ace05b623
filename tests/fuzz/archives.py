"""Tars and zips with hostile entries, damaged at random: nothing outside of the folder changes."""

from __future__ import annotations

import gzip
import io
import os
import random
import shutil
import tarfile
import tempfile
import time
import warnings
import zipfile
from pathlib import Path
from typing import Final

from tests.fuzz.tally import Tally

from modelyard.builder.unpack import unpack
from modelyard.coded_error import CodedError

_NAMES: Final = (
    "a",
    "b",
    "a/b",
    "a/b/c",
    "../x",
    "/x",
    "a/../../x",
    "./a",
    "a//b",
    "..",
    ".",
    "",
    "a/..",
    "b/../a",
    "C:\\x",
    "..\\x",
    "a\\..\\..\\x",
    "\u202ex",
    "x" * 300,
    "a\0b",
    "\x01",
    " ",
    "link/x",
    "link",
    "hard",
    "a/link/x",
    "\udcff",
)
_TARGETS: Final = (
    "a",
    "../a",
    "../../sentinel",
    "/etc/passwd",
    "..",
    ".",
    "/",
    "link",
    "a/b",
    "../../../../sentinel",
    "hard",
    "",
)
_TYPES: Final = (
    tarfile.REGTYPE,
    tarfile.REGTYPE,
    tarfile.REGTYPE,
    tarfile.SYMTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
    tarfile.CHRTYPE,
    tarfile.CONTTYPE,
    tarfile.GNUTYPE_SPARSE,
    b"Z",
)
_LIMIT_BYTES: Final = 1_000_000
_LIMIT_FILES: Final = 20


def run(tally: Tally, inputs: int, seed: int) -> None:
    """Unpack archives into a folder beside a file that must stay as it is."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        target = base / "below" / "folder"
        target.parent.mkdir()
        sentinel = base / "sentinel"
        sentinel.write_text("unchanged")
        archive = base / "archive"
        for _ in range(inputs):
            content = _damaged(chance, chance.choice((_tar, _zip))(chance))
            archive.write_bytes(content)
            tally.inputs += 1
            started = time.process_time()
            try:
                unpack(archive, target, limit_bytes=_LIMIT_BYTES, limit_files=_LIMIT_FILES)
            except CodedError:
                pass
            except BaseException as error:
                tally.crash(content, error)
            tally.check_time(content, started)
            _check(tally, content, base, target, sentinel)
            shutil.rmtree(target, ignore_errors=True)


def _check(tally: Tally, content: bytes, base: Path, target: Path, sentinel: Path) -> None:
    if sentinel.read_text() != "unchanged" or sentinel.stat().st_nlink != 1:
        tally.escape(content, "a file outside was changed")
        sentinel.unlink()
        sentinel.write_text("unchanged")
    if {path.name for path in base.iterdir()} != {"below", "sentinel", "archive"}:
        tally.escape(content, "a file outside was created")
    if [path for path in target.parent.iterdir() if path != target]:
        tally.escape(content, "a file beside the folder was created")
    size = 0
    for path in target.rglob("*"):
        if not (path.is_symlink() or path.is_file() or path.is_dir()):
            tally.escape(content, "a device or a pipe")
        if not Path(os.path.realpath(path)).is_relative_to(target):  # accepts a link to itself
            tally.escape(content, "a link that leads outside")
        size += 0 if path.is_symlink() else path.stat().st_size if path.is_file() else 0
    if size > _LIMIT_BYTES:
        tally.escape(content, "more bytes than the limit")


def _tar(chance: random.Random) -> bytes:
    out = io.BytesIO()
    with tarfile.open(
        fileobj=out, mode="w", format=chance.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT))
    ) as tar:
        for _ in range(chance.randrange(1, 8)):
            entry = tarfile.TarInfo(chance.choice(_NAMES))
            entry.type = chance.choice(_TYPES)
            entry.linkname = chance.choice(_TARGETS)
            entry.mode = chance.choice((0o644, 0o755, 0o4777, 0))
            if chance.random() < 0.2:
                entry.pax_headers = {
                    chance.choice(("path", "linkpath", "size")): chance.choice((*_NAMES[:13], "99"))
                }
            body = chance.randbytes(chance.choice((0, 1, 600)))
            entry.size = len(body) if entry.isreg() else 0
            tar.addfile(entry, io.BytesIO(body))
    return gzip.compress(out.getvalue(), 1) if chance.random() < 0.3 else out.getvalue()


def _zip(chance: random.Random) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for _ in range(chance.randrange(1, 8)):
            name = chance.choice(_NAMES).encode("utf-8", "replace").decode() or "x"
            entry = zipfile.ZipInfo(name)
            kind = chance.choice((0o100644, 0o100644, 0o120777, 0o010644, 0o040755))
            entry.external_attr = kind << 16
            entry.compress_type = chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            body = (
                chance.choice(_TARGETS).encode()
                if kind == 0o120777
                else bytes(chance.choice((0, 10, 500_000)))
            )
            with warnings.catch_warnings(action="ignore"):  # two entries of one name
                archive.writestr(entry, body)
    return out.getvalue()


def _damaged(chance: random.Random, content: bytes) -> bytes:
    """Return the bytes unchanged in half of the cases, else with some bytes changed or the end cut."""
    if chance.random() < 0.5:
        return content
    damaged = bytearray(content)
    for _ in range(chance.randrange(1, 6)):
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
    return bytes(damaged[: chance.randrange(len(damaged))]) if chance.random() < 0.2 else bytes(damaged)
