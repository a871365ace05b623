"""Memory of the container from the files of control groups."""

from pathlib import Path

import pytest

from modelyard.scoring.front.memory import Memory, container_memory

VERSION_2 = {"memory.current": "1000", "memory.max": "5000", "memory.stat": "anon 7\ninactive_file 300\n"}
VERSION_1 = {
    "memory/memory.usage_in_bytes": "1000",
    "memory/memory.limit_in_bytes": "5000",
    "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 300\n",
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("files", [VERSION_2, VERSION_1], ids=["version-2", "version-1"])
def test_memory_excludes_cached_files(files: dict[str, str], tmp_path: Path) -> None:
    assert container_memory(write(tmp_path, files)) == Memory(700, 5000)


@pytest.mark.parametrize(
    "files",
    [
        VERSION_2 | {"memory.max": "max\n"},
        VERSION_1 | {"memory/memory.limit_in_bytes": "9223372036854771712"},
    ],
    ids=["version-2", "version-1"],
)
def test_memory_without_limit_has_none(files: dict[str, str], tmp_path: Path) -> None:
    assert container_memory(write(tmp_path, files)) == Memory(700, None)


def test_memory_is_unknown_outside_of_a_control_group(tmp_path: Path) -> None:
    assert container_memory(tmp_path) is None
