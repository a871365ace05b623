"""The WSGI environment of a request (PEP 3333): werkzeug's and Flask's request objects are built from it."""

import os
import sys
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, Final
from urllib.parse import unquote

from modelyard.scoring.contract import PORT, Variable
from modelyard.scoring.worker.event_loop import is_async

Environ = dict[str, Any]

_OWN_NAMES: Final = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
"""Headers whose variables have no prefix HTTP_."""


def environ_of(meta: Mapping[str, Any], body: bytes) -> Environ:
    """Return the environment of a request. `meta` is the front's JSON, see ScoreEndpoint.

    Headers with an underscore in their name are left out, as gunicorn does: `X_User` of a client would have
    the variable of a proxy's `X-User`.
    """
    target = meta["path"] + ("?" + meta["query"] if meta["query"] else "")
    host, port = meta["client"]
    environ: Environ = {
        "REQUEST_METHOD": meta["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(meta["path"], "latin-1"),
        "QUERY_STRING": meta["query"],
        "RAW_URI": target,
        "REQUEST_URI": target,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": os.environ.get(Variable.PORT) or str(PORT),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "modelyard",
        "REMOTE_ADDR": host,
        "REMOTE_PORT": str(port),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in meta["headers"].items():
        if "_" not in name:
            environ[_OWN_NAMES.get(name) or "HTTP_" + name.replace("-", "_").upper()] = value
    return environ


def within_flask(run: Callable[..., Any], parameter: str | None, flask: Any) -> Callable[..., Any]:
    """Return a run() that is called within a Flask application, as the predecessor calls it.

    Flask's functions need one, such as jsonify. `parameter` is the name of run()'s parameter for the request,
    None if run() does not use @rawhttp. The request becomes Flask's, as send_file and flask.request need it.
    """
    app = flask.Flask("modelyard")
    app.config["MAX_FORM_MEMORY_SIZE"] = None  # as for AMLRequest
    if is_async(run):
        return _within_flask_async(run, parameter, app, flask)

    if parameter is None:

        def run_in_app(**arguments: Any) -> Any:
            with app.app_context():
                return run(**arguments)

        return run_in_app

    def run_in_request(**arguments: Any) -> Any:
        with app.request_context(arguments[parameter].environ):
            arguments[parameter] = flask.request._get_current_object()
            return run(**arguments)

    return run_in_request


def _within_flask_async(
    run: Callable[..., Any], parameter: str | None, app: Any, flask: Any
) -> Callable[..., Any]:
    """Return the same for an `async def`: the contexts last until its result is there."""

    async def run_in_context(**arguments: Any) -> Any:
        environ = {} if parameter is None else arguments[parameter].environ
        with app.app_context() if parameter is None else app.request_context(environ):
            if parameter is not None:
                arguments[parameter] = flask.request._get_current_object()
            result = run(**arguments)
            return await result if hasattr(type(result), "__await__") else result

    return run_in_context
