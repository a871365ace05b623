"""Programs of a base image run from a folder with the C library of that image."""

from __future__ import annotations

import io
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.base_layer import layer_of, program_files

from modelyard.builder.base_system.layer_files import LayerFiles
from modelyard.builder.base_system.loader import (
    _cache_order,
    redirect_programs,
    write_loader_cache,
)


@pytest.fixture
def cache() -> Iterator[Path]:
    path = Path(f"/tmp/my-{secrets.token_hex(4)}")
    yield path
    path.unlink(missing_ok=True)


def test_program_finds_the_libraries_below_the_root_only(tmp_path: Path, cache: Path) -> None:
    root = tmp_path / "root"
    content = program_files("cat")
    content["etc/ld.so.conf"] = b"include ld.so.conf.d/*.conf\n"
    content["etc/ld.so.conf.d/own.conf"] = b"# own libraries\n/opt/own\n"
    content["opt/own/libc.so.6"] = next(
        value for name, value in content.items() if name.endswith("/libc.so.6")
    )
    files = LayerFiles(root)
    files.add(io.BytesIO(layer_of(content)))
    loader = redirect_programs(root, files.programs, str(cache))
    assert loader is not None
    write_loader_cache(root, loader, tmp_path / "libraries")
    cache.symlink_to(tmp_path / "libraries")
    command = [root / "usr/bin/cat", "/proc/self/maps"]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    mapped = {line.split()[-1] for line in ran.stdout.splitlines() if "/" in line}
    libraries = {path for path in mapped if ".so" in Path(path).name}
    assert str(root / "opt/own/libc.so.6") in libraries
    assert all(Path(path).is_relative_to(root) for path in libraries)


def test_root_without_programs_for_this_loader_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    cat = tmp_path / "cat"
    shutil.copyfile(str(shutil.which("cat")), cat)  # its loader is not below the root
    assert redirect_programs(tmp_path, [script, cat, tmp_path / "removed"], "/tmp/cache") is None


def test_path_for_which_a_loader_has_no_room_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="more than 16 bytes"):
        redirect_programs(tmp_path, [], "/tmp/a-longer-path")


def test_names_of_the_cache_have_the_order_of_the_loader() -> None:
    # As printed by `ldconfig -p`, which lists them in the order of the file.
    names = ["libz.so.1", "libc.so.10", "libc.so.6", "libc++.so.1", "libc.so"]
    assert sorted(names, key=_cache_order, reverse=True) == [
        *("libz.so.1", "libc.so.10", "libc.so.6", "libc.so", "libc++.so.1")
    ]
