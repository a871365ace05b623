"""The driver: a Python file of the user with `init()` and `run(data)`."""

import importlib.util
import inspect
import json
import sys
import time
import traceback
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from modelyard.scoring.frames import RAISED, REFUSED
from modelyard.scoring.worker import (
    inference_schema,
    legacy_imports,
)
from modelyard.scoring.worker.channel import Reply, Request
from modelyard.scoring.worker.hints import Hint, UnknownHintError, hint_of
from modelyard.scoring.worker.inputs import InputError, Inputs, ObjectInput, RawInput, TextInput
from modelyard.scoring.worker.results import reply_of

MODULE_NAME = "entry_module"
"""Under this name the driver is in sys.modules, as in the Azure ML containers."""


class DriverError(Exception):
    """The driver cannot be served: no such file, its import or init() raised, or run() has a wrong shape."""


@dataclass(frozen=True, slots=True)
class Driver:
    """A driver whose init() has run."""

    run: Callable[..., Any]
    inputs: Inputs
    wants_headers: bool
    """run() has a parameter `request_headers`."""
    is_decorated: bool
    """run() has inference_schema's decorators."""
    hints: dict[str, Hint]
    """Of the parameters with a schema, and of the result as `return`."""
    parameters: list[inspect.Parameter]
    """Without request_headers."""

    def score(self, request: Request) -> Reply:
        """Calls run(). An error of the driver is a reply too, also its sys.exit()."""
        started = time.perf_counter()
        try:
            arguments = self.inputs.arguments(request)
            if self.wants_headers:
                headers = json.loads(request.meta)["headers"]
                arguments["request_headers"] = {name.title(): value for name, value in headers.items()}
            started = time.perf_counter()
            result = self.run(**arguments)
            seconds = time.perf_counter() - started
            reply = reply_of(result)
        except InputError as error:
            return Reply(REFUSED, error.status, str(error).encode())
        except BaseException as error:
            return self._failed(error, time.perf_counter() - started)
        reply.seconds = seconds
        return reply

    def _failed(self, error: BaseException, seconds: float) -> Reply:
        if self.is_decorated and not inference_schema.has_begun(self.run, error.__traceback__):
            return Reply(REFUSED, 400, f"The input does not fit its schema: {error}".encode())
        return Reply(RAISED, 500, printed(error).encode("utf-8", "replace"), seconds=seconds)


def printed(error: BaseException) -> str:
    """The traceback from the driver on: our own frames above it say nothing."""
    frames = error.__traceback__
    while frames is not None and "modelyard" in frames.tb_frame.f_globals.get("__name__", ""):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames or error.__traceback__)).rstrip()


def start_driver(app_root: Path, entry_script: str, names: Mapping[str, object]) -> Driver:
    """Imports the driver, in which `names` are known, and calls init(). Raises DriverError, with the
    driver's exception as its cause.
    """
    file = app_root / entry_script
    if not file.is_file():
        raise DriverError(f"there is no driver file {file}")
    legacy_imports.install()
    try:
        module = _import(file, names)
    except BaseException as error:
        raise DriverError(f"the import of the driver {entry_script} failed") from error
    driver = _described(module, entry_script)
    try:
        module.init()
    except BaseException as error:
        raise DriverError(f"init() of the driver {entry_script} failed") from error
    return driver


def _import(file: Path, names: Mapping[str, object]) -> ModuleType:
    spec = importlib.util.spec_from_file_location(MODULE_NAME, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file.name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    vars(module).update(names)
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
    run = _run_of(module)
    signature = inspect.signature(run)
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    if any(parameter.kind not in by_name for parameter in signature.parameters.values()):
        raise DriverError("run() cannot have positional-only parameters, *args or **kwargs")
    parameters = [one for one in signature.parameters.values() if one.name != "request_headers"]
    if not parameters:
        raise DriverError("run() must have a parameter for the data of the request")
    is_decorated = inference_schema.is_decorated(run)
    hints: dict[str, Hint] = {}
    inputs: Inputs
    if legacy_imports.raw_http_requested():
        if is_decorated:
            raise DriverError("run() cannot have both @rawhttp and the decorators of inference_schema")
        inputs = RawInput(parameters[0].name)
    elif is_decorated:
        inputs = ObjectInput(parameters, {})
    else:
        hints = _hints(run, parameters)
        inputs = ObjectInput(parameters, hints) if hints else TextInput(parameters[0].name)
    wants_headers = "request_headers" in signature.parameters
    return Driver(run, inputs, wants_headers, is_decorated, hints, parameters)


def _run_of(module: ModuleType) -> Callable[..., Any]:
    """Azure's generated drivers keep the user's own file as `driver_module`: its run() has the schema."""
    inner = getattr(module, "driver_module", None)
    run = getattr(inner, "run", None) if isinstance(inner, ModuleType) else None
    return run if callable(run) else module.run  # type: ignore[no-any-return]


def _hints(run: Callable[..., Any], parameters: list[inspect.Parameter]) -> dict[str, Hint]:
    """Of all parameters and the result; none at all when run() says nothing that can be checked.

    `run(data)`, `run(data: str)` and hints of unknown types are plain drivers: they get text.
    """
    try:
        given = typing.get_type_hints(run, include_extras=True)
    except Exception:  # a hint that names what is not there says nothing
        return {}
    first = parameters[0].name
    if len(parameters) == 1 and given.get(first, Any) in (Any, object, str):
        return {}
    if not any(parameter.name in given for parameter in parameters):
        return {}
    try:
        hints = {one.name: hint_of(given.get(one.name, Any)) for one in parameters}
    except UnknownHintError:
        return {}
    try:
        hints["return"] = hint_of(given.get("return", Any))
    except UnknownHintError:
        hints["return"] = Hint({}, lambda value: value)
    return hints
