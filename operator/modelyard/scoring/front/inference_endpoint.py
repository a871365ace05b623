"""The paths of the Open Inference Protocol v2. Inference is scoring: ScoreEndpoint has queue and metrics.

/v2                                            name and extensions of the server
/v2/health/live, /v2/health/ready              the probes
/v2/models/NAME[/versions/VERSION]             inputs and outputs of the model
/v2/models/NAME[/versions/VERSION]/ready       the readiness probe
/v2/models/NAME[/versions/VERSION]/infer       tensors to run(), and its result as tensors
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from modelyard.scoring.front import errors
from modelyard.scoring.front.keys import ScoringKeys
from modelyard.scoring.front.messages import (
    Handler,
    HttpRequest,
    HttpResponse,
    error_response,
    text_response,
)
from modelyard.scoring.front.request_queue import RequestQueue
from modelyard.scoring.front.score_endpoint import NOT_STARTED, UNAUTHORISED, ScoreEndpoint
from modelyard.scoring.settings import RuntimeSettings

PREFIX: Final = "/v2"
_BELOW: Final = PREFIX + "/"
PLATFORM: Final = "modelyard_python"
"""Name of the framework in the metadata of a model, in the form <project>_<format>."""

_MODEL: Final = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?(/ready|/infer)?")


def is_inference_path(path: str) -> bool:
    """Return True for a path of the protocol."""
    return path.startswith(_BELOW) or path == PREFIX


class InferenceEndpoint:
    """The handlers of the protocol's paths."""

    def __init__(
        self,
        settings: RuntimeSettings,
        keys: ScoringKeys,
        queue: RequestQueue,
        score: ScoreEndpoint,
        probes: Mapping[str, Handler],
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._queue = queue
        self._of_server: dict[str, dict[str, Handler]] = {
            PREFIX: _read_only(self._server),
            PREFIX + "/health/live": _read_only(_probe(probes["live"], lambda _: {"live": True})),
            PREFIX + "/health/ready": _read_only(_probe(probes["ready"], lambda _: {"ready": True})),
        }
        self._model_ready = _probe(probes["ready"], lambda name: {"name": name, "ready": True})
        self._infer: dict[str, Handler] = {"POST": score.infer, "OPTIONS": _preflight}

    def handlers(self, path: str) -> dict[str, Handler] | HttpResponse | None:
        """Return the handlers of a path by method, a refusal for another model, None for no such path."""
        if path in self._of_server:
            return self._of_server[path]
        found = _MODEL.fullmatch(path)
        if found is None:
            return None
        name, version, action = found.groups()
        refusal = self._refusal(name, version)
        if refusal is not None:
            return refusal
        if action == "/infer":
            return self._infer
        return _read_only(self._model_ready if action else self._model)

    def _refusal(self, name: str, version: str | None) -> HttpResponse | None:
        """Return the refusal of another model or version: its response would be that of this one."""
        own_name, own_version = self._settings.model_name, self._settings.model_version
        if own_name and name != own_name:
            return errors.NO_MODEL.response(name=name, own_name=own_name)
        if version is None or version == own_version:
            return None
        versions = f"the version {own_version!r}" if own_version else "no versions: leave /versions/… out"
        return errors.NO_VERSION.response(version=version, versions=versions)

    def _server(self, _: HttpRequest) -> HttpResponse:
        server = {"name": "modelyard", "version": PREFIX[1:], "extensions": ["binary_tensor_data"]}
        return _json_response(server)

    def _model(self, request: HttpRequest) -> HttpResponse:
        """Return the metadata. It describes the model, so it needs the key as scoring does."""
        if not self._keys.accepts(request.headers.get(b"authorization")):
            return UNAUTHORISED
        tensors = self._queue.tensors
        if tensors is None:
            return NOT_STARTED
        version = self._settings.model_version
        versions = {"versions": [version]} if version else {}
        return _json_response({"name": _model_name(request), **versions, "platform": PLATFORM, **tensors})


def _model_name(request: HttpRequest) -> str:
    found = _MODEL.fullmatch(request.path)
    return found[1] if found else ""


def _json_response(value: Mapping[str, Any]) -> HttpResponse:
    return HttpResponse(200, json.dumps(value).encode())


def _probe(probe: Handler, body: Callable[[str], Mapping[str, Any]]) -> Handler:
    """Return a probe whose body is JSON. `body` makes it from the name of the model."""

    def handler(request: HttpRequest) -> HttpResponse | None:
        response = probe(request)
        if response is None or response.status == 200:
            return _json_response(body(_model_name(request)))
        return error_response(response.status, response.body.decode())

    return handler


def _preflight(_: HttpRequest) -> HttpResponse:
    return text_response(200, "")


def _read_only(handler: Handler) -> dict[str, Handler]:
    return {"GET": handler, "HEAD": handler}
