"""The mounted Secret of the namespace."""

from __future__ import annotations

from pathlib import Path

from modelyard.collection.destination import read_secret


def mount(folder: Path, version: str, keys: dict[str, bytes]) -> None:
    """Write a Secret as the kubelet does: a folder of each version, and a link to the present one."""
    (folder / version).mkdir(parents=True)
    for name, value in keys.items():
        (folder / version / name).write_bytes(value)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    (folder / "..next").symlink_to(version)
    (folder / "..next").rename(folder / "..data")


def test_keys_are_the_files_of_the_present_version(tmp_path: Path) -> None:
    mount(tmp_path, "..1", {"storageUrl": b"s3://old\n"})
    assert read_secret(tmp_path) == {"storageUrl": "s3://old"}
    mount(tmp_path, "..2", {"storageUrl": b"s3://new", "hashKey": b"\xff\xfe"})
    assert read_secret(tmp_path) == {"storageUrl": "s3://new"}


def test_no_secret_has_no_keys(tmp_path: Path) -> None:
    assert read_secret(None) == {}
    assert read_secret(tmp_path / "absent") == {}
    assert read_secret(tmp_path) == {}
