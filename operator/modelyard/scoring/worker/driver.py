"""The driver: the user's Python file with `init()` and `run(data)`."""

import importlib.util
import inspect
import json
import os
import re
import sys
import time
import traceback
import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from modelyard.scoring.contract import Variable
from modelyard.scoring.frames import INFER, RAISED, REFUSED, Reply
from modelyard.scoring.worker import (
    api_errors,
    bundled_packages,
    current_request,
    driver_logs,
    inference_schema,
    legacy_imports,
    old_code,
)
from modelyard.scoring.worker.channel import WorkerRequest
from modelyard.scoring.worker.current_request import CurrentRequests
from modelyard.scoring.worker.event_loop import EventLoop, is_async
from modelyard.scoring.worker.hints import Hint, UnknownHintError, hint_of
from modelyard.scoring.worker.inference_protocol.protocol import InferenceProtocol
from modelyard.scoring.worker.inputs import InputError, Inputs, ObjectInput, RawInput, TextInput
from modelyard.scoring.worker.json_decoder import decoded_by_standard_library
from modelyard.scoring.worker.results import JSON_TYPES, complete_reply_of, stream_of
from modelyard.scoring.worker.streams import begin_stream
from modelyard.scoring.worker.wsgi import within_flask

MODULE_NAME = "entry_module"
"""The driver's name in sys.modules (the Azure ML containers' name)."""


class DriverError(Exception):
    """The driver cannot be served: no file, import or init() raised, or run() has wrong parameters."""


@dataclass(frozen=True, slots=True)
class Driver:
    """A driver whose init() has returned."""

    run: Callable[..., Any]
    call: Callable[..., Any]
    """Calls run(), within a Flask application if the driver uses Flask."""
    inputs: Inputs
    inference: InferenceProtocol | None
    """The same for tensors; None if run() gets the request itself."""
    wants_headers: bool
    """run() has a parameter `request_headers`."""
    is_decorated: bool
    """run() has inference_schema's decorators."""
    hints: dict[str, Hint]
    """Type hints by parameter name, of the result as `return`; empty if run() has no schema."""
    parameters: list[inspect.Parameter]
    """Parameters of run() except request_headers."""
    thread_safe: bool | None
    """THREAD_SAFE of the driver's file; None without one."""
    is_async: bool
    """run() is `async def`."""
    loop: EventLoop
    """The event loop of init() and, in an async driver, of all run() calls."""

    @property
    def takes_options(self) -> bool:
        """Return True if run() answers OPTIONS requests, too."""
        return isinstance(self.inputs, RawInput)

    @property
    def needs_meta(self) -> bool:
        """Return True if run() or its collectors need more of a request than its method and body."""
        return self.inputs.needs_meta or self.wants_headers or CurrentRequests.is_needed

    @property
    def overlaps(self) -> bool:
        """Return True if several run() calls may go on at once in one process."""
        return self.is_async if self.thread_safe is None else self.thread_safe

    def prepared(self, request: WorkerRequest) -> tuple[dict[str, Any], Callable[[Any], Reply]]:
        """Return the arguments of run(), and the function that makes the reply of a result without stream.

        Raises InputError.
        """
        if CurrentRequests.is_needed:
            current_request.begin(request.meta, overlaps=self.overlaps)
        if request.flags & INFER and self.inference is not None:
            inference = self.inference.begin(request)
            arguments, reply_of = inference.arguments, inference.reply_of
        else:
            arguments, reply_of = self.inputs.arguments(request), complete_reply_of
        if self.wants_headers:
            headers = json.loads(request.meta)["headers"]
            arguments["request_headers"] = {name.title(): value for name, value in headers.items()}
        return arguments, reply_of

    def score(self, request: WorkerRequest, loop: EventLoop) -> Reply:
        """Call run(). Return its reply; exceptions of the driver, also SystemExit, are replies as well.

        `loop` is that of the thread. A plain function around an async run() returns an awaitable, and the
        loop runs it.
        """
        started = time.perf_counter()
        has_returned = False
        try:
            arguments, reply_of = self.prepared(request)
            started = time.perf_counter()
            result = self.call(**arguments)
            if type(result) not in JSON_TYPES and hasattr(type(result), "__await__"):
                result = loop.run(result_of(result))
            seconds = time.perf_counter() - started
            has_returned = True
            stream = stream_of(result)
            reply = reply_of(result) if stream is None else begin_stream(stream, loop)
        except InputError as error:
            return refusal_of(error)
        except BaseException as error:
            return self.reply_of_error(error, time.perf_counter() - started, has_returned=has_returned)
        reply.seconds = seconds if reply.pieces is None else time.perf_counter() - started
        return reply

    def reply_of_error(self, error: BaseException, seconds: float, *, has_returned: bool) -> Reply:
        """Return the reply to an exception of the driver, or of a result that is no JSON."""
        is_input = self.is_decorated and not has_returned
        if is_input and not inference_schema.has_reached(self.run, error.__traceback__):
            return Reply(REFUSED, 400, f"The input does not match the schema: {error}".encode())
        chosen = api_errors.status_and_message(error)
        if chosen and chosen[0] < 500:
            return Reply(REFUSED, chosen[0], chosen[1].encode("utf-8", "replace"))
        text = old_code.with_advice(traceback_text(error), error)
        status = chosen[0] if chosen else 500
        return Reply(RAISED, status, text.encode("utf-8", "replace"), seconds=seconds)


def refusal_of(error: InputError) -> Reply:
    """Return the reply to a request that does not match run()."""
    return Reply(REFUSED, error.status, str(error).encode())


async def result_of(awaitable: Awaitable[Any]) -> Any:
    """Return the result of an awaitable that is no coroutine, too."""
    return await awaitable


def traceback_text(error: BaseException) -> str:
    """Return the traceback without the runtime's own frames above the driver's."""
    frames = error.__traceback__
    while frames is not None and "modelyard" in frames.tb_frame.f_globals.get("__name__", ""):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames or error.__traceback__)).rstrip()


def start_driver(app_root: Path, entry_script: str, names: Mapping[str, object], loop: EventLoop) -> Driver:
    """Import the driver with `names` as its global variables, and call init().

    If the driver uses asyncio, the loop exists before the import. Raises DriverError, with the driver's
    exception as its cause.
    """
    file = app_root / entry_script
    if not file.is_file():
        raise DriverError(f"the driver file {file} does not exist")
    legacy_imports.install()
    bundled_packages.install()
    _configure_logs(app_root, file.parent)
    try:
        if b"async" in file.read_bytes():
            loop.create()
        module = _import(file, names)
    except BaseException as error:
        message = f"the import of the driver {entry_script} failed"
        raise DriverError(old_code.with_advice(message, error)) from error
    driver = _driver_of(module, entry_script, loop)
    driver_logs.show_azure_logger(os.environ.get(Variable.LOG_LEVEL))
    try:
        _call_init(module.init, driver)
    except BaseException as error:
        message = f"init() of the driver {entry_script} failed"
        raise DriverError(old_code.with_advice(message, error)) from error
    return driver


def _call_init(init: Callable[[], Any], driver: Driver) -> None:
    """Call init(), in an async driver on the running loop: clients that it makes belong to the loop."""
    if driver.is_async or is_async(init):
        driver.loop.run(_init_on_loop(init))
    else:
        driver.loop.make_current()
        init()


async def _init_on_loop(init: Callable[[], Any]) -> None:
    result = init()
    if hasattr(type(result), "__await__"):
        await result


def _configure_logs(*folders: Path) -> None:
    try:
        driver_logs.configure(folders, os.environ.get(Variable.LOG_LEVEL))
    except Exception as error:
        raise DriverError(f"the file {driver_logs.FILE} of the driver is no configuration of logs") from error


def _import(file: Path, names: Mapping[str, object]) -> ModuleType:
    spec = importlib.util.spec_from_file_location(MODULE_NAME, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file.name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    vars(module).update(names)
    sys.modules[MODULE_NAME] = module  # pickles refer to the driver's classes by this name
    spec.loader.exec_module(module)
    return module


def _driver_of(module: ModuleType, entry_script: str, loop: EventLoop) -> Driver:
    """Check init() and run(), and choose how run() gets its arguments. Raises DriverError."""
    for name in ("init", "run"):
        function = getattr(module, name, None)
        if not callable(function):
            raise DriverError(f"the driver {entry_script} has no function {name}()")
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
    is_raw = legacy_imports.raw_http_requested()
    if is_raw:
        if is_decorated:
            raise DriverError("run() cannot have both @rawhttp and the decorators of inference_schema")
        inputs = RawInput(parameters[0].name)
    elif is_decorated:
        inputs = ObjectInput(parameters, {})
    else:
        hints = _hints(run, parameters)
        inputs = ObjectInput(parameters, hints) if hints else TextInput(parameters[0].name)
    wants_headers = "request_headers" in signature.parameters
    flask = sys.modules.get("flask")
    uses_flask = hasattr(flask, "Flask")
    call = within_flask(run, parameters[0].name if is_raw else None, flask) if uses_flask else run
    decoded = inputs.decoded if isinstance(inputs, ObjectInput) else decoded_by_standard_library
    inference = InferenceProtocol(run, parameters, hints, decoded, is_decorated=is_decorated)
    thread_safe = _thread_safe_of(module)
    return Driver(
        run,
        call,
        inputs,
        None if is_raw else inference,
        wants_headers,
        is_decorated,
        hints,
        parameters,
        thread_safe,
        is_async(run),
        loop,
    )


def _thread_safe_of(module: ModuleType) -> bool | None:
    """Return THREAD_SAFE of the driver or of the user's file that it imports. Raises DriverError."""
    inner = getattr(module, "driver_module", None)
    declared = getattr(module, "THREAD_SAFE", getattr(inner, "THREAD_SAFE", None))
    if declared is not None and not isinstance(declared, bool):
        raise DriverError(f"THREAD_SAFE of the driver must be True or False, not {declared!r}")
    return declared


def _run_of(module: ModuleType) -> Callable[..., Any]:
    """Return the run() that has the schema.

    Drivers generated by Azure ML import the user's file, which has the schema, as `driver_module`.
    """
    inner = getattr(module, "driver_module", None)
    run = getattr(inner, "run", None) if isinstance(inner, ModuleType) else None
    return run if callable(run) else module.run  # type: ignore[no-any-return]


def _parses_text(run: Callable[..., Any], parameter: str) -> bool:
    """Return True if run() parses its only argument: a hint such as `data: dict` is then a mistake.

    The Azure ML containers ignore hints, so that such drivers work there.
    """
    try:
        source = inspect.getsource(run)
    except (OSError, TypeError):
        return False
    pattern = rf"\b(loads|read_json|literal_eval|StringIO)\(\s*{re.escape(parameter)}\b"
    return re.search(pattern, source) is not None


def _hints(run: Callable[..., Any], parameters: list[inspect.Parameter]) -> dict[str, Hint]:
    """Return the hints of all parameters and of the result; none if run() gets the body as text.

    `run(data)`, `run(data: str)`, a run() that parses its argument, and hints of unknown types are plain
    drivers: they get text.
    """
    try:
        annotations = typing.get_type_hints(run, include_extras=True)
    except Exception:  # a hint refers to a name that does not exist
        return {}
    first = parameters[0].name
    is_plain = annotations.get(first, Any) in (Any, object, str, str | None)
    if len(parameters) == 1 and (is_plain or _parses_text(run, first)):
        return {}
    if not any(parameter.name in annotations for parameter in parameters):
        return {}
    try:
        hints = {one.name: hint_of(annotations.get(one.name, Any)) for one in parameters}
    except UnknownHintError:
        return {}
    try:
        hints["return"] = hint_of(annotations.get("return", Any))
    except UnknownHintError:
        hints["return"] = Hint({}, lambda value: value)
    return hints
