"""The driver: a Python file of the user with `init()` and `run(data)`."""

import importlib.util
import inspect
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

MODULE_NAME = "entry_module"
"""Under this name the driver is in sys.modules, as in the Azure ML containers."""


class DriverError(Exception):
    """The driver cannot be served: no such file, its import or init() raised, or run() has a wrong shape."""


class RunFailedError(Exception):
    """run() raised, or returned what json.dumps refuses. The cause is the driver's own exception."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What one run() gave."""

    body: bytes
    """The return value as JSON."""
    milliseconds: float
    """How long run() took."""


@dataclass(frozen=True, slots=True)
class Driver:
    """A driver whose init() has run."""

    run: Callable[..., Any]
    data_parameter: str
    wants_headers: bool
    """run() has a parameter `request_headers`."""

    def score(self, data: str, request_headers: Mapping[str, str]) -> Scored:
        """Calls run(). Raises RunFailedError whatever the driver raises, also for its sys.exit().

        The result is json.dumps of any value, so that a str is quoted: clients decode twice.
        """
        arguments: dict[str, Any] = {self.data_parameter: data}
        if self.wants_headers:
            arguments["request_headers"] = dict(request_headers)
        try:
            started = time.perf_counter()
            result = self.run(**arguments)
            milliseconds = (time.perf_counter() - started) * 1000
            return Scored(json.dumps(result).encode(), milliseconds)
        except BaseException as error:
            raise RunFailedError("run() failed") from error


def start_driver(app_root: Path, entry_script: str) -> Driver:
    """Imports the driver with app_root as working folder and first on sys.path, and calls its init().

    Raises DriverError, with the driver's own exception as its cause.
    """
    file = app_root / entry_script
    if not file.is_file():
        raise DriverError(f"there is no driver file {file}")
    os.chdir(app_root)
    sys.path.insert(0, str(app_root))
    try:
        module = _import(file)
    except BaseException as error:
        raise DriverError(f"the import of the driver {entry_script} failed") from error
    driver = _described(module, entry_script)
    try:
        module.init()
    except BaseException as error:
        raise DriverError(f"init() of the driver {entry_script} failed") from error
    return driver


def _import(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(MODULE_NAME, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file.name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE_NAME] = module  # pickles made by the driver's classes find them by this name
    spec.loader.exec_module(module)
    return module


def _described(module: ModuleType, entry_script: str) -> Driver:
    for name in ("init", "run"):
        function = getattr(module, name, None)
        if not callable(function):
            raise DriverError(f"the driver {entry_script} has no function {name}()")
        if inspect.iscoroutinefunction(function):
            raise DriverError(f"{name}() of the driver {entry_script} must be a plain function, not async")
    parameters = inspect.signature(module.run).parameters.values()
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    if any(parameter.kind not in by_name for parameter in parameters):
        raise DriverError("run() cannot have positional-only parameters, *args or **kwargs")
    names = [parameter.name for parameter in parameters]
    data_names = [name for name in names if name != "request_headers"]
    if not data_names:
        raise DriverError("run() must have a parameter for the data of the request")
    return Driver(module.run, data_names[0], wants_headers=len(data_names) < len(names))
