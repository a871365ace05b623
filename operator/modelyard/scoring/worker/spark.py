"""The Spark session of a SparkPython driver, started before the driver is imported, on this container alone.

Its settings are defaults: a file `spark-defaults.conf` in SPARK_CONF_DIR overrides them, and one beside the
driver overrides both. Drivers use the session as in the pyspark shell, as `spark`, or get it by
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

from modelyard.scoring.contract import Variable
from modelyard.scoring.worker.driver import MODULE_NAME, DriverError

DEFAULTS_FILE = "spark-defaults.conf"
MIN_HEAP_BYTES = 512 * 1024 * 1024
"""Spark does not start with less than 450 MiB (UnifiedMemoryManager)."""

JVM_ENDED = 4
"""Exit code of a worker whose Java process has ended: every run() would fail, so the front starts another."""

_LIMIT_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_NO_LIMIT = 1 << 60  # version 1 of control groups writes about 2^63 if there is no limit


def start_session(app_root: Path) -> dict[str, object]:
    """Start Spark. Return global variables for the driver. Raises DriverError if Spark does not start."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        # Hadoop's login needs the user's name, and Spark reads every model through Hadoop.
        raise DriverError(
            f"Spark needs a name for user {os.getuid()}: the base image must have one"
            f" (useradd --uid {os.getuid()} spark)"
        ) from None
    folder = Path(tempfile.mkdtemp(prefix="spark-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    settings = default_settings(folder, heap_bytes(memory_bytes(os.environ)))
    files = [app_root / DEFAULTS_FILE]
    if "SPARK_CONF_DIR" in os.environ:
        files.insert(0, Path(os.environ["SPARK_CONF_DIR"]) / DEFAULTS_FILE)
    (folder / DEFAULTS_FILE).write_text(defaults_text(settings, files))
    os.environ["SPARK_CONF_DIR"] = str(folder)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    try:
        from pyspark.sql import SparkSession  # noqa: PLC0415 - a package of the base image

        session = SparkSession.builder.getOrCreate()
    except Exception as error:
        raise DriverError(
            "Spark does not start: the base image of runtimeType SparkPython must have Java and pyspark"
        ) from error
    _pickle_driver_by_value()
    context = session.sparkContext
    _exit_with_java(context._gateway.proc)
    return {"spark": session, "sc": context}


def memory_bytes(environment: Mapping[str, str], limit_files: tuple[Path, ...] = _LIMIT_FILES) -> int | None:
    """Return the smaller of the container's memory request and limit, in bytes; None without both."""
    request = environment.get(Variable.MEMORY_BYTES)
    amounts = [int(request)] if request else []
    for file in limit_files:
        text = file.read_text().strip() if file.is_file() else "max"
        if text != "max" and int(text) < _NO_LIMIT:
            amounts.append(int(text))
    return min(amounts, default=None)


def heap_bytes(memory: int | None) -> int | None:
    """Return the size of Java's heap: half, for Java's other memory and Python need the rest.

    None leaves Spark's default.
    """
    return None if memory is None else max(MIN_HEAP_BYTES, memory // 2)


def default_settings(folder: Path, heap: int | None) -> dict[str, str]:
    """Return Spark's settings for one container. Spark writes all its files below `folder`."""
    settings = {
        "spark.master": "local[*]",  # Java counts the processors within the container's limit
        "spark.app.name": "modelyard",
        "spark.driver.host": "127.0.0.1",  # a pod's host name may not resolve
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.local.dir": f"{folder}/local",
        "spark.jars.ivy": f"{folder}/ivy",
        "spark.sql.warehouse.dir": f"{folder}/warehouse",
        # After an OutOfMemoryError Java may continue without some threads: a new worker is better.
        "spark.driver.defaultJavaOptions": f"-XX:+ExitOnOutOfMemoryError -Dderby.system.home={folder}/derby",
    }
    return settings if heap is None else settings | {"spark.driver.memory": f"{heap // (1024 * 1024)}m"}


def defaults_text(settings: Mapping[str, str], files: list[Path]) -> str:
    """Return the text of a defaults file. Spark uses the last of several lines for one setting."""
    lines = [f"{name} {value}" for name, value in settings.items()]
    return "\n".join([*lines, *(file.read_text() for file in files if file.is_file()), ""])


def _pickle_driver_by_value() -> None:
    """Send the driver's functions to Spark's Python processes by value: they cannot import its module."""
    from pyspark.cloudpickle import register_pickle_by_value  # noqa: PLC0415

    register_pickle_by_value(sys.modules.setdefault(MODULE_NAME, ModuleType(MODULE_NAME)))


def _exit_with_java(java: "subprocess.Popen[bytes]") -> None:
    """End this process when the Java process ends."""

    def watch() -> None:
        code = java.wait()
        sys.stderr.write(f"Spark's Java process has ended with {code}: the worker ends too\n")
        sys.stderr.flush()
        os._exit(JVM_ENDED)

    threading.Thread(target=watch, daemon=True).start()
