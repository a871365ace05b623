"""How a SparkPython driver's worker starts. Spark itself: tests/integration/builder/test_spark.py."""

import os
import signal
from pathlib import Path

import pytest
from tests.unit.scoring.running import ScoringProcess, until

from modelyard.scoring.worker.spark import default_settings, defaults_text, heap_bytes, memory_bytes

MIB = 1024 * 1024

# What the worker asks of pyspark, and no more: a process in Java's place, and the file of defaults.
PYSPARK = """
import os, pathlib, subprocess
class Context:
    def __init__(self):
        self._gateway = type("Gateway", (), {"proc": subprocess.Popen(["sleep", "600"])})()
class SparkSession:
    def __init__(self):
        self.sparkContext = Context()
        self.defaults = (pathlib.Path(os.environ["SPARK_CONF_DIR"]) / "spark-defaults.conf").read_text()
SparkSession.builder = type("Builder", (), {"getOrCreate": staticmethod(SparkSession)})()
"""
DRIVER = """
assert sc is spark.sparkContext  # known while the driver is imported
def init(): pass
def run(data):
    return {"java": sc._gateway.proc.pid, "defaults": spark.defaults}
"""


@pytest.fixture
def pyspark(tmp_path: Path, runtime: Path) -> dict[str, str]:
    """The environment of a scoring process whose driver has a pyspark."""
    (tmp_path / "packages/pyspark/sql").mkdir(parents=True)
    (tmp_path / "packages/pyspark/__init__.py").touch()
    (tmp_path / "packages/pyspark/sql/__init__.py").write_text(PYSPARK)
    (tmp_path / "packages/pyspark/cloudpickle.py").write_text("def register_pickle_by_value(module): ...\n")
    return {
        "MODELYARD_SPARK": "true",
        "PYTHONPATH": f"{runtime}{os.pathsep}{tmp_path / 'packages'}",
        "TMPDIR": str(tmp_path),
    }


def _fresh(scoring: ScoringProcess, old: int) -> bool:
    answer = scoring.score(b"")
    return answer.status == 200 and answer.json()["java"] != old


def test_the_driver_finds_its_session(serve, pyspark: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/spark-defaults.conf").write_text("spark.driver.memory 3g\n")
    scoring = serve(DRIVER, **pyspark, MODELYARD_MEMORY_BYTES=str(2048 * MIB))
    lines = scoring.score(b"").json()["defaults"].splitlines()
    assert "spark.master local[*]" in lines
    assert [line for line in lines if "driver.memory" in line] == [
        "spark.driver.memory 1024m",
        "spark.driver.memory 3g",
    ]


def test_a_worker_does_not_outlive_its_java(serve, pyspark: dict[str, str]) -> None:
    scoring = serve(DRIVER, **pyspark)
    java = scoring.score(b"").json()["java"]
    os.kill(java, signal.SIGKILL)
    until(lambda: _fresh(scoring, java), "a worker with another Java process")
    assert "Spark's Java process has ended with -9" in scoring.log


def test_nothing_is_left_behind(serve, pyspark: dict[str, str], tmp_path: Path) -> None:
    scoring = serve(DRIVER, **pyspark)
    assert len(list(tmp_path.glob("spark-*"))) == 1
    scoring.terminate()
    assert scoring.exit_code() == 0
    assert list(tmp_path.glob("spark-*")) == []


def test_an_image_without_spark(serve) -> None:
    scoring = serve(DRIVER, wait_ready=False, MODELYARD_SPARK="true")
    assert scoring.exit_code() == 3
    line = next(line for line in scoring.log_lines() if line["level"] == "critical")
    assert line["message"].endswith("the base image of runtimeType SparkPython must have Java and pyspark")
    assert "No module named 'pyspark'" in line["exception"]


@pytest.mark.parametrize(
    ("memory", "heap"),
    [(None, None), (256 * MIB, 512 * MIB), (1024 * MIB, 512 * MIB), (4096 * MIB, 2048 * MIB)],
)
def test_the_heap(memory: int | None, heap: int | None) -> None:
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
def test_what_the_container_may_take(
    tmp_path: Path, reserved: dict[str, str], limit: str | None, memory: int | None
) -> None:
    if limit:
        (tmp_path / "memory.max").write_text(limit)
    assert memory_bytes(reserved, (tmp_path / "memory.max", tmp_path / "none")) == memory


def test_all_that_spark_writes_is_in_one_folder() -> None:
    settings = default_settings(Path("/tmp/one"), 512 * MIB)
    assert settings["spark.driver.memory"] == "512m"
    written = {name for name, value in settings.items() if "/tmp/one/" in value}
    assert written == {
        "spark.local.dir",
        "spark.jars.ivy",
        "spark.sql.warehouse.dir",
        "spark.driver.defaultJavaOptions",
    }


def test_later_files_count(tmp_path: Path) -> None:
    image, driver = tmp_path / "image", tmp_path / "driver"
    image.write_text("a 2")
    driver.write_text("a 3\n")
    assert defaults_text({"a": "1"}, [image, tmp_path / "none", driver]) == "a 1\na 2\na 3\n\n"
