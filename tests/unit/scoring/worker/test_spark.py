"""The settings of a Spark session in one container."""

from pathlib import Path

import pytest

from modelyard.scoring.worker.spark import default_settings, defaults_text, heap_bytes, memory_bytes

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("memory", "heap"),
    [(None, None), (256 * MIB, 512 * MIB), (1024 * MIB, 512 * MIB), (4096 * MIB, 2048 * MIB)],
)
def test_heap_is_half_of_the_memory(memory: int | None, heap: int | None) -> None:
    assert heap_bytes(memory) == heap


@pytest.mark.parametrize(
    ("reserved", "limit", "memory"),
    [
        ({}, None, None),
        ({}, "max\n", None),
        ({}, "9223372036854771712\n", None),
        ({}, "1073741824\n", 1024 * MIB),
        ({"MODELYARD_MEMORY_BYTES": "536870912"}, "max\n", 512 * MIB),
        ({"MODELYARD_MEMORY_BYTES": "536870912"}, "1073741824\n", 512 * MIB),
        ({"MODELYARD_MEMORY_BYTES": "2147483648"}, "1073741824\n", 1024 * MIB),
    ],
)
def test_memory_is_the_smaller_of_request_and_limit(
    tmp_path: Path, reserved: dict[str, str], limit: str | None, memory: int | None
) -> None:
    if limit:
        (tmp_path / "memory.max").write_text(limit)
    assert memory_bytes(reserved, (tmp_path / "memory.max", tmp_path / "none")) == memory


def test_settings_place_all_files_of_spark_in_one_folder() -> None:
    settings = default_settings(Path("/tmp/one"), 512 * MIB)
    assert settings["spark.driver.memory"] == "512m"
    written = {name for name, value in settings.items() if "/tmp/one/" in value}
    assert written == {
        "spark.local.dir",
        "spark.jars.ivy",
        "spark.sql.warehouse.dir",
        "spark.driver.defaultJavaOptions",
    }


def test_later_defaults_files_override_earlier_ones(tmp_path: Path) -> None:
    image, driver = tmp_path / "image", tmp_path / "driver"
    image.write_text("a 2")
    driver.write_text("a 3\n")
    assert defaults_text({"a": "1"}, [image, tmp_path / "none", driver]) == "a 1\na 2\na 3\n\n"
