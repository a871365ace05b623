"""The scoring runtime in the place of the predecessor's Flask application in its tests."""

import http.client
import json
import logging
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from azureml_inference_server_http.server.user_script import UserScriptError
from flask import Request as FlaskRequest
from inference_schema import schema_util
from tests.conformance.predecessor.driver_source import AROUND_INIT, driver_of, recorder
from tests.support.servers import free_port
from werkzeug import Request, Response
from werkzeug.test import EnvironBuilder

START_SECONDS = 60
EMPTY_DRIVER = "def init(): ...\ndef run(data): ...\n"
SOURCE_DIRECTORY = "mock_source_dir"


class UserScript:
    """The driver: a file in `data/user_scripts`, or main.py in the first folder of sys.path."""

    __test__ = False  # its name in the tests begins with "Test"
    data: Path
    """The folder `data` of the tests."""

    def __init__(self, filename: str | None = None) -> None:
        self.filename = filename

    def load_script(self) -> None:
        """Exist, as a test replaces it."""

    @property
    def file(self) -> Path:
        return self.data / "user_scripts" / self.filename if self.filename else Path(sys.path[0]) / "main.py"


class Settings:
    """The predecessor's settings object. A change restarts the server of `app`."""

    def __init__(self, config: Any) -> None:
        vars(self).update(_config=config, app=None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in vars(self):
            vars(self)[name] = value
            return
        setattr(self._config, name, value)
        if self.app is not None and self.app.process is not None:
            self.app.restart()

    @property
    def variables(self) -> dict[str, str]:
        """Return the environment variables of the same settings."""
        return {
            "SCORING_TIMEOUT_MS": str(self.scoring_timeout),
            "SERVICE_PATH_PREFIX": self.service_path_prefix or "",
            "AML_CORS_ORIGINS": self.cors_origins or "",
            "AML_APP_INSIGHTS_ENABLED": str(self.app_insights_enabled).lower(),
        }


class ScoringApp:
    """A scoring server that runs the driver of one test."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.documents: list[str] = []
        self.user_script = UserScript()
        self.azml_blueprint = SimpleNamespace(
            setup=self.setup, user_script=self.user_script, appinsights_client=SimpleNamespace()
        )
        self._folder = Path(tempfile.mkdtemp(prefix="predecessor-"))
        self._records = self._folder / "records"
        self._records.mkdir()
        self._driver = EMPTY_DRIVER
        settings.app = self

    def test_client(self) -> "Client":
        return Client(self)

    def setup(self) -> None:
        """Serve the file of the user script. Raises SystemExit, as the predecessor does."""
        file = self.azml_blueprint.user_script.file
        for module in file.parent.glob("*.py"):
            shutil.copy(module, self._folder)
        sources = Path(self.settings.app_root) / SOURCE_DIRECTORY
        if sources.is_dir():
            shutil.copytree(sources, self._folder / SOURCE_DIRECTORY, dirs_exist_ok=True)
        self._driver = recorder(self._records) + file.read_text() + AROUND_INIT
        try:
            self.restart()
        except UserScriptError as error:
            log_error(error)
            raise SystemExit(3) from error
        os.environ.update(self._recorded("environment"))

    def set_user_init(self, init: Callable[[], Any]) -> Callable[[], Any]:
        return init

    def set_user_run(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """Serve this function. Raises UserScriptError if the runtime refuses it."""
        caller = sys._getframe(1).f_locals
        self._driver = driver_of(run, caller, self._records)
        _forget_schemas()
        self.restart()
        return run

    def regenerate_swagger(self, folder: Path) -> None:
        """Serve with the OpenAPI documents of this folder."""
        for file in folder.glob("swagger*.json"):
            shutil.copy(file, self._folder)
        self.restart()

    @property
    def last_run(self) -> SimpleNamespace:
        """Return the arguments of the last run()."""
        return SimpleNamespace(
            input={name: _argument(value) for name, value in self._recorded("arguments").items()}
        )

    def _recorded(self, name: str) -> dict[str, Any]:
        return dict(pickle.loads((self._records / name).read_bytes()))

    def restart(self) -> None:
        """Start the server. Raises UserScriptError with the runtime's message if it ends."""
        self.stop()
        (self._folder / "score.py").write_text(self._driver)
        self.serve({"AZUREML_ENTRY_SCRIPT": "score.py"})

    def serve(self, entry: Mapping[str, str]) -> None:
        """Start the server with the variable of the entry script. Raises UserScriptError if it ends."""
        self.port = free_port()
        log = self._folder / "log"
        variables = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.environ["RUNTIME_FOLDER"],
            "AML_APP_ROOT": str(self._folder),
            "AZUREML_SOURCE_DIRECTORY": SOURCE_DIRECTORY,
            "MODELYARD_PORT": str(self.port),
            "MODELYARD_HOST": "127.0.0.1",
            **self.settings.variables,
            **entry,
        }
        command = [os.environ["DRIVER_PYTHON"], "-S", "-P", "-m", "modelyard.scoring"]
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, env=variables, stdout=output, stderr=output)
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self.process.poll() is not None:
                self.process = None
                raise UserScriptError(_last_message(log.read_text()))
            if self._is_ready():
                return
            time.sleep(0.01)
        raise TimeoutError(f"the server was not ready after {START_SECONDS} s: {log.read_text()}")

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)
            self.process = None

    def close(self) -> None:
        log = self._folder / "log"
        print(log.read_text() if log.exists() else "no server has run")
        self.stop()
        shutil.rmtree(self._folder)


def log_error(error: Exception) -> None:
    """Write the message to the predecessor's logger, whose records the tests read."""
    logging.getLogger("azmlinfsrv").error("%s", error)


def _argument(value: Any) -> Any:
    """Return an argument of run(); a request as one of Flask only if the driver had one of Flask."""
    if not isinstance(value, dict) or "environ" not in value:
        return value
    kind = FlaskRequest if value["is_flask"] else Request
    return kind({**value["environ"], "wsgi.input": BytesIO(value["body"])})


def _forget_schemas() -> None:
    """Forget the schemas of inference_schema in this process, where each test decorates functions."""
    schema_util.__functions_schema__.clear()
    schema_util.__versions__.clear()


def _last_message(log: str) -> str:
    """Return the last message of the runtime's log, whose lines are JSON."""
    messages = [json.loads(line)["message"] for line in log.splitlines() if line.startswith("{")]
    return messages[-1] if messages else log


class Client:
    """Sends the requests of Flask's test client to the server."""

    __test__ = False  # as for UserScript

    def __init__(self, app: ScoringApp) -> None:
        self._app = app

    def open(self, path: str, method: str = "GET", **request: Any) -> Response:
        """Send a request, and start the server before it if none runs."""
        if self._app.process is None:
            self._app.restart()
        builder = EnvironBuilder(path, method=method, **request)
        environ = builder.get_environ()
        headers = builder.headers
        if environ.get("CONTENT_TYPE"):
            headers["Content-Type"] = environ["CONTENT_TYPE"]
        query = environ["QUERY_STRING"]
        connection = http.client.HTTPConnection("127.0.0.1", self._app.port, timeout=60)
        try:
            body = environ["wsgi.input"].read()
            connection.request(method, path + ("?" + query if query else ""), body or None, dict(headers))
            response = connection.getresponse()
            return Response(response.read(), response.status, response.getheaders())
        finally:
            connection.close()

    def get(self, path: str, **request: Any) -> Response:
        return self.open(path, "GET", **request)

    def post(self, path: str, **request: Any) -> Response:
        return self.open(path, "POST", **request)

    def delete(self, path: str, **request: Any) -> Response:
        return self.open(path, "DELETE", **request)

    def get_health(self, **request: Any) -> Response:
        return self.get("/", **request)

    def get_score(self, params: Any = None, **request: Any) -> Response:
        return self.get("/score", query_string=params or {}, **request)

    def post_score(self, json: Any = None, **request: Any) -> Response:
        return self.post("/score", **({} if json is None else {"json": json}), **request)

    def options_score(self, **request: Any) -> Response:
        return self.open("/score", "OPTIONS", **request)

    def score(self, method: str, input_data: Any = None, **request: Any) -> Response:
        if method == "GET":
            return self.get_score(input_data, **request)
        return self.post_score(input_data, **request)

    def get_swagger(self, version: Any = None) -> Response:
        response = self.get("/swagger.json", query_string={"version": version} if version else {})
        self._app.documents.append(response.get_data(as_text=True))
        return response
