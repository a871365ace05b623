"""From a run() within a test to the file of a driver."""

import ast
import inspect
import pickle
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

RECORDER = """
def _record(name, value):
    import pickle
    with open({folder!r} + "/" + name, "wb") as file:
        pickle.dump(value, file)
def _picklable(value):
    import sys
    environ = getattr(value, "environ", None)
    if environ is None:
        return value
    body = environ["wsgi.input"].read()
    environ["wsgi.input"].seek(0)
    flask = sys.modules.get("flask")
    is_flask = flask is not None and isinstance(value, flask.Request)
    plain = {{key: one for key, one in environ.items() if isinstance(one, (str, int, tuple))}}
    return {{"environ": plain, "body": body, "is_flask": is_flask}}
"""
"""Code in the driver that writes values into files of a folder, a request as its WSGI environment."""

AROUND_INIT = """
def _around(init):
    import os
    def recorded():
        before = dict(os.environ)
        init()
        _record("environment", {key: one for key, one in os.environ.items() if before.get(key) != one})
    return recorded
init = _around(init)
"""
"""Code at the end of a driver that records the variables which init() sets."""


def recorder(folder: Path) -> str:
    """Return the code that records into `folder`."""
    return RECORDER.format(folder=str(folder))


def driver_of(run: Callable[..., Any], caller: Mapping[str, Any], folder: Path) -> str:
    """Return the file of a driver with this run() of a test, which records its arguments in `folder`.

    `caller` has the local variables of the test: decorators of run() may use them.
    """
    function = inspect.unwrap(run)
    module = sys.modules[function.__module__]
    definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.decorator_list = [
        one for one in definition.decorator_list if not ast.unparse(one).endswith("set_user_run")
    ]
    record = "_record('arguments', {key: _picklable(one) for key, one in locals().items()})"
    definition.body.insert(0, ast.parse(record).body[0])
    used = {node.id for node in ast.walk(definition) if isinstance(node, ast.Name)}
    values = {**caller, **inspect.getclosurevars(function).nonlocals}
    lines = [recorder(folder), "import pickle"]
    lines += [_import_of(node, used) for node in ast.parse(inspect.getsource(module)).body]
    lines += [
        f"{name} = pickle.loads({pickle.dumps(values[name])!r})"
        for name in sorted(used & values.keys())
        if not callable(values[name]) and name != "app"
    ]
    lines += ["def init(): ...", ast.unparse(definition), f"run = {definition.name}"]
    return "\n".join(lines)


def _import_of(node: ast.stmt, used: set[str]) -> str:
    """Return an import of the test's module with the names that run() uses, or an empty line."""
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return ""
    names = [one for one in node.names if (one.asname or one.name).split(".")[0] in used]
    if not names or (isinstance(node, ast.ImportFrom) and node.level):
        return ""
    node.names = names
    return ast.unparse(node)
