"""The worker of a SparkPython driver, with a pyspark that starts no Spark.

tests/integration/builder/test_spark.py has the real one.
"""

import os
import signal
from pathlib import Path

import pytest
from tests.unit.scoring.scoring_process import ScoringProcess, metric, until

MIB = 1024 * 1024

# The part of pyspark that the worker uses: a process instead of Java, and the file of defaults.
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
assert sc is spark.sparkContext  # defined while the driver is imported
def init(): pass
def run(data):
    return {"java": sc._gateway.proc.pid, "defaults": spark.defaults}
"""


@pytest.fixture
def pyspark(tmp_path: Path, runtime: Path) -> dict[str, str]:
    """Return the environment of a scoring process whose driver has this pyspark."""
    (tmp_path / "packages/pyspark/sql").mkdir(parents=True)
    (tmp_path / "packages/pyspark/__init__.py").touch()
    (tmp_path / "packages/pyspark/sql/__init__.py").write_text(PYSPARK)
    (tmp_path / "packages/pyspark/cloudpickle.py").write_text("def register_pickle_by_value(module): ...\n")
    return {
        "MODELYARD_SPARK": "true",
        "PYTHONPATH": f"{runtime}{os.pathsep}{tmp_path / 'packages'}",
        "TMPDIR": str(tmp_path),
    }


def has_new_java(scoring: ScoringProcess, old: int) -> bool:
    response = scoring.score(b"")
    return response.status == 200 and response.json()["java"] != old


def test_driver_uses_the_session_with_its_defaults(serve, pyspark: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/spark-defaults.conf").write_text("spark.driver.memory 3g\n")
    scoring = serve(DRIVER, **pyspark, MODELYARD_MEMORY_BYTES=str(2048 * MIB))
    lines = scoring.score(b"").json()["defaults"].splitlines()
    assert "spark.master local[*]" in lines
    assert [line for line in lines if "driver.memory" in line] == [
        "spark.driver.memory 1024m",
        "spark.driver.memory 3g",
    ]


def test_worker_restarts_when_its_java_process_ends(serve, pyspark: dict[str, str]) -> None:
    scoring = serve(DRIVER, **pyspark)
    java = scoring.score(b"").json()["java"]
    os.kill(java, signal.SIGKILL)
    until(lambda: has_new_java(scoring, java), "a worker with another Java process")
    assert "Spark's Java process has ended with -9" in scoring.log


def test_session_folder_is_removed_at_the_end(serve, pyspark: dict[str, str], tmp_path: Path) -> None:
    scoring = serve(DRIVER, **pyspark)
    assert len(list(tmp_path.glob("spark-*"))) == 1
    scoring.terminate()
    assert scoring.exit_code() == 0
    assert list(tmp_path.glob("spark-*")) == []


def test_image_without_spark_ends_the_process(serve) -> None:
    scoring = serve(DRIVER, wait_ready=False, MODELYARD_SPARK="true")
    assert scoring.exit_code() == 3
    line = next(line for line in scoring.log_lines() if line["level"] == "critical")
    assert line["message"].endswith("the base image of runtimeType SparkPython must have Java and pyspark")
    assert "No module named 'pyspark'" in line["exception"]


def test_driver_with_a_session_has_one_process_without_a_declaration(serve, pyspark: dict[str, str]) -> None:
    scoring = serve(DRIVER, **pyspark, MODELYARD_MAX_CONCURRENT_REQUESTS="4")
    assert metric(scoring, "modelyard_scoring_concurrency") == 1
