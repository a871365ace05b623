"""The Spark session of a SparkPython driver: there before the driver is imported, in this container alone.

Its settings are defaults, after those of Spark's own configuration folder and before those of a file
`spark-defaults.conf` beside the driver. Drivers find the session as in the pyspark shell, as `spark`, and by
`SparkSession.builder.getOrCreate()`.
"""

import atexit
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from modelyard.scoring.worker.driver import MODULE_NAME, DriverError

DEFAULTS_FILE = "spark-defaults.conf"
LEAST_HEAP_BYTES = 512 * 1024 * 1024
"""Spark refuses to start with less than 450 MiB (UnifiedMemoryManager)."""

JVM_ENDED = 4
"""Exit code of a worker whose Java process has ended: every run() would fail, so the front starts another."""

_LIMIT_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_NO_LIMIT = 1 << 60  # what version 1 of control groups writes for none is about 2^63


def start_session(app_root: Path) -> dict[str, object]:
    """Starts Spark; the names that the driver finds. Raises DriverError when the image has no Spark."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        # Hadoop's login asks for the user's name, and Spark reads every model through Hadoop.
        raise DriverError(
            f"Spark needs a name for user {os.getuid()}: the base image must have one"
            f" (useradd --uid {os.getuid()} spark)"
        ) from None
    folder = Path(tempfile.mkdtemp(prefix="spark-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    own = defaults(folder, heap_bytes(memory_bytes(os.environ)))
    given = [Path(os.environ["SPARK_CONF_DIR"]) / DEFAULTS_FILE] if "SPARK_CONF_DIR" in os.environ else []
    (folder / DEFAULTS_FILE).write_text(joined(own, [*given, app_root / DEFAULTS_FILE]))
    os.environ["SPARK_CONF_DIR"] = str(folder)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    try:
        from pyspark.sql import SparkSession  # noqa: PLC0415 - it is the base image's

        session = SparkSession.builder.getOrCreate()
    except Exception as error:
        raise DriverError(
            "Spark does not start: the base image of runtimeType SparkPython must have Java and pyspark"
        ) from error
    _pickle_the_driver()
    context = session.sparkContext
    _end_with(context._gateway.proc)
    return {"spark": session, "sc": context}


def memory_bytes(environment: Mapping[str, str], limit_files: tuple[Path, ...] = _LIMIT_FILES) -> int | None:
    """What the container may take: its limit, or less where less is reserved for it; None when neither is
    known. MODELYARD_MEMORY_BYTES is what is reserved.
    """
    known = [int(environment["MODELYARD_MEMORY_BYTES"])] if environment.get("MODELYARD_MEMORY_BYTES") else []
    for file in limit_files:
        text = file.read_text().strip() if file.is_file() else "max"
        if text != "max" and int(text) < _NO_LIMIT:
            known.append(int(text))
    return min(known, default=None)


def heap_bytes(memory: int | None) -> int | None:
    """Java's heap: half, since Java's other memory and the driver's own Python need theirs; None is
    Spark's default.
    """
    return None if memory is None else max(LEAST_HEAP_BYTES, memory // 2)


def defaults(folder: Path, heap: int | None) -> dict[str, str]:
    """Spark's settings for one container: all that is written goes below `folder`."""
    settings = {
        "spark.master": "local[*]",  # Java counts the processors that the container's limit leaves it
        "spark.app.name": "modelyard",
        "spark.driver.host": "127.0.0.1",  # a pod's own name need not lead anywhere
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.local.dir": f"{folder}/local",
        "spark.jars.ivy": f"{folder}/ivy",
        "spark.sql.warehouse.dir": f"{folder}/warehouse",
        # Out of memory, Java may go on with threads missing: a new worker is better.
        "spark.driver.defaultJavaOptions": f"-XX:+ExitOnOutOfMemoryError -Dderby.system.home={folder}/derby",
    }
    return settings if heap is None else settings | {"spark.driver.memory": f"{heap // (1024 * 1024)}m"}


def joined(own: Mapping[str, str], files: list[Path]) -> str:
    """A file of defaults, in which the later of two settings counts."""
    lines = [f"{name} {value}" for name, value in own.items()]
    return "\n".join([*lines, *(file.read_text() for file in files if file.is_file()), ""])


def _pickle_the_driver() -> None:
    """Functions of the driver go to Spark's Python processes as they are: no module is there to name."""
    from pyspark.cloudpickle import register_pickle_by_value  # noqa: PLC0415

    register_pickle_by_value(sys.modules.setdefault(MODULE_NAME, ModuleType(MODULE_NAME)))


def _end_with(java: "subprocess.Popen[bytes]") -> None:
    """Ends this process with the Java process."""

    def watch() -> None:
        code = java.wait()
        sys.stderr.write(f"Spark's Java process has ended with {code}: the worker ends too\n")
        sys.stderr.flush()
        os._exit(JVM_ENDED)

    threading.Thread(target=watch, daemon=True).start()
