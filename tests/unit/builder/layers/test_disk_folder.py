"""Folders that another process changes while a layer is made of them."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from modelyard.builder.layers.disk_folder import DiskFile, DiskFolder
from modelyard.builder.layers.tar_stream import tar_of
from modelyard.contract.errors import BuildStepFailedError


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    folder = tmp_path / "registry"
    folder.mkdir()
    (folder / "file").write_text("secret")
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "key" / "packages"
    (tree / "lib").mkdir(parents=True)
    (tree / "lib" / "file").write_text("public")
    return tree


def _exchange(path: Path, target: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to(target)


def test_folder_that_becomes_a_link_is_not_followed(tmp_path: Path, tree: Path, secret: Path) -> None:
    tar = tar_of({"opt": DiskFolder(tmp_path, "key/packages")})
    _exchange(tree / "lib", secret)
    with pytest.raises(BuildStepFailedError, match="was replaced while it was read"):
        b"".join(tar.open())


def test_file_that_becomes_a_link_is_not_followed(tmp_path: Path, tree: Path, secret: Path) -> None:
    tar = tar_of({"opt": DiskFolder(tmp_path, "key/packages")})
    _exchange(tree / "lib/file", secret / "file")
    with pytest.raises(BuildStepFailedError, match="was replaced while it was read"):
        b"".join(tar.open())


def test_file_that_becomes_a_pipe_does_not_block(tmp_path: Path, tree: Path) -> None:
    tar = tar_of({"opt": DiskFolder(tmp_path, "key/packages")})
    (tree / "lib/file").unlink()
    os.mkfifo(tree / "lib/file")
    with pytest.raises(BuildStepFailedError, match="was replaced while it was read"):
        b"".join(tar.open())


def test_file_that_becomes_shorter_is_an_error_and_more_bytes_are_ignored(tmp_path: Path, tree: Path) -> None:
    entries = dict(DiskFolder(tmp_path, "key/packages").entries())
    file = entries[PurePosixPath("lib/file")]
    assert isinstance(file, DiskFile)
    (tree / "lib/file").write_text("public and more")
    assert b"".join(file.open(0)) == b"public"
    (tree / "lib/file").write_text("pub")
    with pytest.raises(BuildStepFailedError, match="was replaced while it was read"):
        b"".join(file.open(0))


@pytest.mark.parametrize("replaced", ["key", "key/packages"])
def test_link_on_the_way_to_the_folder_is_refused(
    tmp_path: Path, tree: Path, secret: Path, replaced: str
) -> None:
    (secret / "packages").mkdir()
    _exchange(tmp_path / replaced, secret)
    with pytest.raises(BuildStepFailedError, match="'key/packages' of the packages was replaced"):
        DiskFolder(tmp_path, "key/packages")


def test_pipe_is_no_entry_of_a_layer(tmp_path: Path, tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    with pytest.raises(BuildStepFailedError, match="'pipe' is a device, a pipe or a socket"):
        tar_of({"opt": DiskFolder(tmp_path, "key/packages")})
